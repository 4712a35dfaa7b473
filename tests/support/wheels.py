"""Wheels for tests: of nothing or of an installed package, without a network; and the kit's own."""

from __future__ import annotations

import zipfile
from importlib.metadata import distribution
from typing import TYPE_CHECKING

from kfpkit.core import process
from kfpkit.core.packages import HOME
from kfpkit.images.builder import uv

if TYPE_CHECKING:
    from pathlib import Path

#: A pipeline with a neighbour, as a user has it. {image} is that of its task.
PIPELINE = """
from kfp import dsl
from components.numbers import TWO

@dsl.component(base_image="{image}")
def add(a: int, b: int) -> int:
    return a + b

@dsl.pipeline
def adding(a: int = 1) -> int:
    return add(a=a, b=TWO).output
"""


def install_kit(folder: Path) -> Path:
    """Build the kit's wheel, install it as a tool in a folder, and return the program.

    Its packages are those of the lock, out of uv's cache or from the index.
    """
    process.query([uv(), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(HOME)])
    (wheel,) = folder.glob("kfpkit-*.whl")
    locked = folder / "locked.txt"
    export = ["export", "--quiet", "--frozen", "--no-default-groups", "--no-emit-project"]
    process.query([uv(), *export, "--no-hashes", "--output-file", str(locked)], cwd=HOME)
    env = {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    argv = [uv(), "tool", "install", "--quiet", "--python", "3.11", "--constraints", str(locked)]
    process.query([*argv, str(wheel)], env=env)
    return folder / "bin" / "kfpkit"


def write_pipeline(folder: Path, image: str) -> Path:
    """Write a pipeline and its neighbour into a folder, and return its file."""
    (folder / "components").mkdir(parents=True)
    (folder / "components" / "numbers.py").write_text("TWO = 2\n")
    file = folder / "my pipeline.py"
    file.write_text(PIPELINE.format(image=image))
    return file


def make_wheel(folder: Path, name: str, version: str, requires: str = "") -> Path:
    """Write a wheel with one module that knows its version, and return it."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if requires:
        metadata += f"Requires-Dist: {requires}\n"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", f"__version__ = {version!r}\n")
        file.writestr(f"{info}/METADATA", metadata)
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return path


def installed_wheel(folder: Path, name: str) -> Path:
    """Write a wheel of an installed package of pure Python, and return it."""
    found = distribution(name)
    path = folder / f"{name}-{found.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        for one in found.files or ():
            if ".." not in one.parts and one.suffix != ".pyc":
                file.write(str(one.locate()), str(one))
    return path
