"""Backups kept elsewhere, encrypted: restic copies the folder of backups to and fro."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from kfpkit import process
from kfpkit.backup.manifest import NAME, OBJECTS
from kfpkit.errors import BadInputError
from kfpkit.versions import version

if TYPE_CHECKING:
    from pathlib import Path

#: Begins a place that restic understands: restic:s3:https://host/bucket/prefix, restic:gs:bucket:/.
SCHEME = "restic:"

#: Any of these tells restic its password.
PASSWORDS = ("RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND", "RESTIC_PASSWORD")


def is_remote(place: str) -> bool:
    """Whether a place is a restic repository."""
    return place.startswith(SCHEME)


def require(place: str) -> str:
    """Return the repository of a place, having made sure that restic can open it.

    Raises:
        BadInputError: restic is missing or too old, has no password or finds no repository.
    """
    repository = place.removeprefix(SCHEME)
    if not shutil.which("restic"):
        raise BadInputError("restic is not installed", "As root on Debian: apt-get install restic")
    said = process.query(["restic", "version"]).stdout
    found = re.search(r"\d+\.\d+\.\d+", said)
    oldest = version("RESTIC_VERSION")
    if not found or _numbers(found[0]) < _numbers(oldest):
        raise BadInputError(f"restic is too old: {said.strip()}", f"Install {oldest} or newer")
    if not any(os.environ.get(name) for name in PASSWORDS):
        raise BadInputError(
            "restic has no password", f"Set {PASSWORDS[0]} to a file that holds it, and keep a copy"
        )
    seen = process.query(_argv(repository, "cat", "config"), check=False, timeout=120)
    if not seen.ok:
        last = (seen.stderr.strip().splitlines() or ["no answer"])[-1]
        raise BadInputError(
            f"restic does not open {repository}: {last}",
            f"A new repository is made by `restic --repo {repository} init`",
        )
    return repository


def push(place: str, backup: Path) -> None:
    """Copy a backup, and the artifacts that are not there yet, into a repository.

    restic runs where the user is, as for `require`: what its variables name may be relative.
    """
    if process.dry_run():
        backup /= "TIME"  # None was made: this is the folder of backups.
    folder = backup.absolute()
    what = [str(folder.parent / OBJECTS), str(folder)]
    process.run(
        _argv(_repository(place), "backup", "--tag", "kfpkit", *what),
        do="The backup itself is whole: try again, or copy it by hand",
    )


def fetch(place: str, snapshot: str, into: Path) -> Path:
    """Copy a backup out of a repository.

    Args:
        place: The repository.
        snapshot: restic's name of it, or `latest`.
        into: An empty folder, or one that is not there.

    Returns:
        The backup's folder.

    Raises:
        BadInputError: The snapshot has no backup.
    """
    repository = _repository(place)
    process.run(_argv(repository, "restore", snapshot, "--target", str(into)))
    if process.dry_run():
        return into
    found = sorted(into.rglob(f"*Z/{NAME}"))
    if not found:
        raise BadInputError(f"{snapshot} of {place} has no backup", "restic snapshots lists them")
    return found[-1].parent


def _repository(place: str) -> str:
    """Return the repository of a place; a dry run only names it."""
    return place.removeprefix(SCHEME) if process.dry_run() else require(place)


def _argv(repository: str, *arguments: str) -> list[str]:
    return ["restic", "--repo", repository, *arguments]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
