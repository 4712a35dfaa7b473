"""The pipelines themselves."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def step(salt: str, number: int) -> int:
    """Add one."""
    return number + 1


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def write(salt: str, mebibytes: int, data: Output[Dataset]) -> None:
    """Write bytes that do not compress."""
    import os

    with open(data.path, "wb") as file:
        block = os.urandom(2**20)
        for _ in range(mebibytes):
            file.write(block)


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def read(data: Input[Dataset]) -> int:
    """Count the bytes."""
    with open(data.path, "rb") as file:
        return sum(len(block) for block in iter(lambda: file.read(2**20), b""))


def row(count: int) -> Any:
    """Tasks one after another, each with the result of the one before."""

    @dsl.pipeline(name=f"bench-row-{count}")
    def pipeline(salt: str) -> None:
        number = step(salt=salt, number=0)
        for _ in range(count - 1):
            number = step(salt=salt, number=number.output)

    return pipeline


def side(count: int) -> Any:
    """Tasks side by side, none waiting for another."""

    @dsl.pipeline(name=f"bench-side-{count}")
    def pipeline(salt: str) -> None:
        for number in range(count):
            step(salt=salt, number=number)

    return pipeline


def loop(count: int) -> Any:
    """A loop whose rounds may all run at once."""

    @dsl.pipeline(name=f"bench-loop-{count}")
    def pipeline(salt: str) -> None:
        with dsl.ParallelFor(list(range(count))) as number:
            step(salt=salt, number=number)

    return pipeline


@dsl.pipeline(name="bench-condition")
def condition(salt: str) -> None:
    """A task that decides, one in the branch that is taken, one in the other."""
    number = step(salt=salt, number=0)
    with dsl.If(number.output == 1):
        step(salt=salt, number=1)
    with dsl.Else():
        step(salt=salt, number=2)


@dsl.pipeline(name="bench-artifact")
def artifact(salt: str, mebibytes: int = 1024) -> None:
    """A task that writes an artifact, and one that reads it."""
    written = write(salt=salt, mebibytes=mebibytes)
    read(data=written.outputs["data"])
