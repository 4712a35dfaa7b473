"""Rounds of a loop with a choice in each, and a text that is read by another task."""

from kfp import dsl

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def give(text: str) -> str:
    print(f"gave {text}")
    return text


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def take(text: str) -> None:
    print(f"took {text}")


@dsl.pipeline(name="many")
def many(text: str, items: list[str]) -> None:
    given = give(text=text)
    with dsl.ParallelFor(items) as item:
        with dsl.If(item == "take"):
            take(text=given.output)
        with dsl.Else():
            give(text=item)
