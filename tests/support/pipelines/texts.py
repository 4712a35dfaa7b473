"""Characters of every length, in every place that has a name or a text.

The tasks leave the cache off themselves: the client's `enable_caching` changes no uploaded version.
"""

from kfp import dsl

from components.image import RUNTIME_IMAGE

#: Of one to four bytes each.
TEXT = "penguin pingüino ペンギン 🐧"


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def note_down(text: str, default: str, note: dsl.Output[dsl.Artifact]) -> str:
    from pathlib import Path

    note.path += f" {text}.txt"
    Path(note.path).write_text(text)
    note.metadata[text] = f"{text} {default}"
    print(f"noted {text}")
    return text


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def read_out(text: str, note: dsl.Input[dsl.Artifact]) -> None:
    from pathlib import Path

    print(f"read {text}, {Path(note.path).read_text()}, {note.metadata[text]}")


@dsl.pipeline(name="texts", display_name=TEXT, description=TEXT)
def texts(text: str, default: str = TEXT) -> None:
    noted = note_down(text=text, default=default).set_display_name(TEXT).set_caching_options(False)
    read = read_out(text=noted.outputs["Output"], note=noted.outputs["note"])
    read.set_caching_options(False)
