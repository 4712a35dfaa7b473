"""A backup with another dump."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfpkit.operations.backup import create
from kfpkit.operations.backup.manifest import Manifest, digest, read, write

if TYPE_CHECKING:
    from pathlib import Path


def with_dump(backup: Path, dump: bytes) -> Manifest:
    """Give a backup another dump, and a manifest that is true of it."""
    (backup / create.DUMP).write_bytes(dump)
    manifest = read(backup)
    manifest.parts[create.DUMP] = digest(backup / create.DUMP)
    write(manifest, backup)
    return manifest
