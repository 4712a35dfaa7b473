"""What a backup is on disk, and the proof that it is whole.

    FOLDER/
        objects/ab/abcd…            each artifact once, named by its SHA-256, for all backups
        20261124T120300Z/           one backup
            manifest.json           what is in it, with size and SHA-256 of everything
            manifest.sha256         SHA-256 of that, as `sha256sum --check` reads it
            databases.sql.gz        both databases, dumped in one transaction
            secrets.json            Secrets
            recurring-runs.json     ScheduledWorkflows
            configuration.yaml      the rendered overlay

A backup under way has a name that ends in `.part`; only a whole one loses it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from kfpkit.core.errors import BadInputError, KitError
from kfpkit.kfp.database import Run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Raised when an older kit could not read what this one writes.
FORMAT = 2

#: Those of earlier kits are read, too.
READ = (1, FORMAT)

NAME = "manifest.json"
SUM = "manifest.sha256"
OBJECTS = "objects"

#: Bytes read at a time.
CHUNK = 1024 * 1024

#: Damages that an error names one by one.
SHOWN = 10


@dataclass(frozen=True)
class Stored:
    """A file of the backup, or an artifact of it."""

    sha256: str
    #: Bytes.
    size: int


@dataclass(frozen=True)
class Artifact(Stored):
    """An object of the object store."""

    #: What the store called this content; with the size it tells whether it has changed.
    etag: str
    #: Its media type, which the web UI reads.
    type: str = ""


@dataclass
class Manifest:
    """What is in a backup and where it came from."""

    #: UTC, as in 2026-11-24T12:03:00Z.
    made: str
    #: Release of Kubeflow Pipelines.
    release: str
    overlay: str
    context: str
    namespace: str
    bucket: str
    #: Every image of the installation.
    images: list[str]
    #: How many runs the database had.
    runs: int
    #: Runs under way, which a restore marks as failed.
    left_out: list[Run] = field(default_factory=list)
    #: URIs of artifacts that the object store had lost already.
    lost: list[str] = field(default_factory=list)
    #: Files by name.
    parts: dict[str, Stored] = field(default_factory=dict)
    #: Artifacts by key.
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    format: int = FORMAT


def digest(path: Path) -> Stored:
    """Return size and SHA-256 of a file."""
    found, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
            size += len(chunk)
    return Stored(found.hexdigest(), size)


def blob(objects: Path, sha256: str) -> Path:
    """Return where an artifact of this content belongs."""
    return objects / sha256[:2] / sha256


def write(manifest: Manifest, folder: Path) -> None:
    """Write the manifest and its own checksum."""
    text = json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n"
    (folder / NAME).write_text(text, encoding="utf-8")
    (folder / SUM).write_text(f"{digest(folder / NAME).sha256}  {NAME}\n", encoding="utf-8")


def read(folder: Path) -> Manifest:
    """Return the manifest of a backup.

    Raises:
        BadInputError: There is none, or a later kit wrote it.
        KitError: It is not as it was written.
    """
    file, checksum = folder / NAME, folder / SUM
    if not file.is_file() or not checksum.is_file():
        raise BadInputError(
            f"{folder} is no backup: it has not both {NAME} and {SUM}",
            "Name the folder that `make backup` printed",
        )
    if digest(file).sha256 != checksum.read_text(encoding="utf-8").partition(" ")[0]:
        raise KitError(f"{file} is damaged: its SHA-256 is not that in {SUM}", "Use another backup")
    data = json.loads(file.read_text(encoding="utf-8"))
    if data["format"] not in READ:
        raise BadInputError(
            f"{folder} has format {data['format']}, and this kit reads up to {FORMAT}",
            "Use the kit that made it",
        )
    parts = {name: Stored(**value) for name, value in data.pop("parts").items()}
    artifacts = {key: Artifact(**value) for key, value in data.pop("artifacts").items()}
    left_out = [Run(**value) for value in data.pop("left_out")]
    return Manifest(**data, parts=parts, artifacts=artifacts, left_out=left_out)


def damages(manifest: Manifest, folder: Path) -> list[str]:
    """Return what of a backup is gone or not as it was written; reads every byte of it."""
    found = [_damage(folder / name, stored) for name, stored in sorted(manifest.parts.items())]
    contents: Mapping[str, Artifact] = {a.sha256: a for a in manifest.artifacts.values()}
    objects = folder.parent / OBJECTS
    found += [_damage(blob(objects, sha), stored) for sha, stored in sorted(contents.items())]
    return [damage for damage in found if damage]


def require_whole(folder: Path) -> Manifest:
    """Return the manifest of a backup of which every byte is as it was written.

    Raises:
        BadInputError: It is no backup.
        KitError: Something is gone or damaged.
    """
    manifest = read(folder)
    found = damages(manifest, folder)
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise KitError(
            f"the backup {folder} is damaged: {'; '.join(found[:SHOWN])}{more}",
            "Use another backup; artifacts that are whole can be copied from it by hand",
        )
    return manifest


def find(path: Path) -> Path:
    """Return the backup at a path: the folder itself, or the newest of those in it.

    Raises:
        BadInputError: There is none.
    """
    if (path / NAME).exists():
        return path
    whole = earlier(path)
    if not whole:
        raise BadInputError(f"there is no backup in {path}", "make backup BACKUPS=path makes one")
    return whole[-1]


def earlier(path: Path) -> list[Path]:
    """Return the whole backups in a folder, oldest first."""
    return sorted(file.parent for file in path.glob(f"*Z/{NAME}"))


def _damage(path: Path, stored: Stored) -> str:
    """Return what is wrong with a file, nothing if it is as it was written."""
    try:
        now = digest(path)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if now.size != stored.size:
        return f"{path} has {now.size} bytes, not {stored.size}"
    return "" if now.sha256 == stored.sha256 else f"{path} has another SHA-256"
