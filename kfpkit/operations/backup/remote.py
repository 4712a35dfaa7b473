"""Backups kept elsewhere, encrypted: restic copies the folder of backups to and fro."""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.core.versions import version
from kfpkit.operations.backup.manifest import NAME, OBJECTS

if TYPE_CHECKING:
    from pathlib import Path

#: Begins a place that restic understands: restic:s3:https://host/bucket/prefix, restic:gs:bucket:/.
SCHEME = "restic:"

#: Any of these tells restic its password.
PASSWORDS = ("RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND", "RESTIC_PASSWORD")

#: Given to each snapshot of a backup.
TAG = "kfpkit"

#: How the path of a backup ends.
_BACKUP = re.compile(r"/\d{8}T\d{6}Z$")


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
        _argv(_repository(place), "backup", "--tag", TAG, *what),
        do="The backup itself is whole: try again, or copy it by hand",
    )


def fetch(place: str, snapshot: str, work: Path) -> Path:
    """Copy the backup of a snapshot, with its artifacts, out of a repository.

    Each snapshot has a folder of its own, where a copy that was interrupted can be made again.

    Args:
        place: The repository.
        snapshot: restic's name of it, or `latest`: that of the kit's.
        work: Where the snapshots' folders are.

    Returns:
        The backup's folder.

    Raises:
        BadInputError: There is no such snapshot, or it is not that of one backup.
    """
    repository = _repository(place)
    if process.dry_run():
        into = work / f"fetched-{snapshot}"
        process.run(_argv(repository, "restore", snapshot, "--target", str(into)))
        return into
    name, path = _backup_of(repository, snapshot)
    into = work / f"fetched-{name[:8]}"
    into.mkdir(parents=True, exist_ok=True)
    into.chmod(0o700)  # Secrets are in it in the clear.
    process.run(_argv(repository, "restore", name, "--target", str(into)))
    # A snapshot of an earlier kit has the folder at its top.
    for folder in (into / path.lstrip("/"), into / path.rpartition("/")[2]):
        if (folder / NAME).is_file():
            return folder
    raise BadInputError(f"{snapshot} of {place} has no {path}/{NAME}", "Use another snapshot")


def _backup_of(repository: str, snapshot: str) -> tuple[str, str]:
    """Return the ID of a snapshot, and the path that the backup in it had."""
    found = process.query(_argv(repository, "snapshots", "--json", "--tag", TAG, snapshot))
    do = f"`restic --repo {repository} snapshots --tag {TAG}` lists those of backups"
    try:
        (seen,) = json.loads(found.stdout) or []
    except ValueError:
        raise BadInputError(f"{repository} has no snapshot {snapshot!r}", do) from None
    backups = [path for path in seen["paths"] if _BACKUP.search(path)]
    if len(backups) != 1:
        raise BadInputError(f"the snapshot {snapshot!r} is not that of one backup", do)
    console.say(f"snapshot {seen['id'][:8]}: {backups[0]} of {seen.get('hostname', 'a machine')}")
    return seen["id"], backups[0]


def _repository(place: str) -> str:
    """Return the repository of a place; a dry run only names it."""
    return place.removeprefix(SCHEME) if process.dry_run() else require(place)


def _argv(repository: str, *arguments: str) -> list[str]:
    return ["restic", "--repo", repository, *arguments]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
