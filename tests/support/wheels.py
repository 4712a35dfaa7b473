"""Wheels for tests, without a network: of nothing, or of a package that is installed."""

from __future__ import annotations

import zipfile
from importlib.metadata import distribution
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


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
