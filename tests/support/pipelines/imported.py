"""An artifact that no run made."""

from kfp import dsl

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def read(text: dsl.Input[dsl.Dataset]) -> None:
    from pathlib import Path

    print(Path(text.path).read_text(), text.metadata)


@dsl.pipeline(name="imported")
def imported(uri: str) -> None:
    """Import an object of the store and read it in the next task."""
    source = dsl.importer(
        artifact_uri=uri, artifact_class=dsl.Dataset, reimport=True, metadata={"from": "a test"}
    )
    read(text=source.output)
