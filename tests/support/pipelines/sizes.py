"""Texts of a size, from one task to others."""

from kfp import dsl

from components.image import RUNTIME_IMAGE

#: Tasks that read the same text.
READERS = 4


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def write(size: int) -> str:
    print(f"wrote {size}")
    return "x" * size


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def measure(text: str) -> None:
    print(f"read {len(text)}")


@dsl.pipeline(name="written")
def written(size: int) -> None:
    """Return a text that no task reads."""
    write(size=size)


@dsl.pipeline(name="read-once")
def read_once(size: int) -> None:
    """Return a text that one task reads."""
    measure(text=write(size=size).output)


@dsl.pipeline(name="read-often")
def read_often(size: int) -> None:
    """Return a text that several tasks read, more than a Workflow's object holds."""
    text = write(size=size).output
    for _ in range(READERS):
        measure(text=text)
