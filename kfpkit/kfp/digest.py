"""What tells one artifact's bytes from another's."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file or a folder in hex; empty where it cannot be read whole.

    That of a folder is of the lines that `sha256sum` prints of its files, each named by its path in
    the folder with `/`, in the order of those names: an empty folder in it counts for nothing.
    """
    try:
        if path.is_file():
            return _of_file(path)
        if not path.is_dir():
            return ""
        lines = [
            f"{_of_file(path / name)}  {name}\n"
            for name in sorted(
                file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()
            )
        ]
    except OSError:
        return ""
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
