"""The cache of built images: outside the checkout, addressed by the content of all inputs.

    ~/.cache/kfpkit/               or $XDG_CACHE_HOME/kfpkit/
        images/NAME/HASH.tar       an image as `docker save` wrote it
        images/NAME/HASH.json      what it cost and which size the archive must have
        go/                        Go's module and build caches
        uv/                        uv's cache of Python packages
        bin/                       kind and kubectl, by version
        environments/HASH/         Python environments of tasks that run on this machine
        logs/NAME.log              the last build's whole output
        work/                      builds under way; emptied when a build starts

An image counts only when both its files are there and the archive has the noted size. Both are
written beside their place and renamed, so a kill leaves either nothing or the whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, join_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kfpkit.images.recipe import Recipe

#: Raised when the builder itself makes other images from the same inputs.
BUILDER_VERSION = 2

#: Versions of one image that stay in the cache.
KEPT_VERSIONS = 2

#: What each folder is for, where somebody may want to know before removing it.
PURPOSES = {
    "bin": "kind and kubectl",
    "environments": "packages of tasks that run on this machine",
    "go": "Go's caches, for building only",
    "images": f"the newest {KEPT_VERSIONS} versions of each image",
    "logs": "the last build of each image",
    "uv": "Python packages, for building only",
}

#: Files that say something to people only, or are made by running the recipe.
UNHASHED = ("README.md", "__pycache__")


def root() -> Path:
    """Return the kit's cache folder; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "kfpkit"


@dataclass(frozen=True)
class Entry:
    """One image in the cache."""

    name: str
    digest: str
    #: Bytes of the archive.
    size: int
    #: What the build took.
    seconds: float
    references: tuple[str, ...]

    @property
    def archive(self) -> Path:
        """The image as `docker load` takes it."""
        return archive_path(self.name, self.digest)


def archive_path(name: str, digest: str) -> Path:
    """Return where the archive of an image with these inputs belongs."""
    return root() / "images" / name / f"{digest}.tar"


def find(name: str, digest: str) -> Entry | None:
    """Return the cached image made from exactly these inputs, or None."""
    archive = archive_path(name, digest)
    try:
        data = json.loads(archive.with_suffix(".json").read_text(encoding="utf-8"))
        entry = Entry(**{**data, "references": tuple(data["references"])})
        whole = archive.stat().st_size == entry.size
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return entry if whole else None


def keep(entry: Entry, written: Path) -> None:
    """Move a finished archive to its place; from now on `find` returns it."""
    entry.archive.parent.mkdir(parents=True, exist_ok=True)
    note = entry.archive.with_suffix(".json.part")
    note.write_text(json.dumps(asdict(entry), indent=1) + "\n", encoding="utf-8")
    note.rename(entry.archive.with_suffix(".json"))
    written.rename(entry.archive)
    _forget_old(entry.archive.parent)


def _forget_old(folder: Path) -> None:
    """Keep the newest archives of one image: enough to go back and forth between two branches."""
    archives = sorted(folder.glob("*.tar"), key=lambda file: file.stat().st_mtime, reverse=True)
    for archive in archives[KEPT_VERSIONS:]:
        archive.with_suffix(".json").unlink(missing_ok=True)
        archive.unlink()


def digests(recipes: Mapping[str, Recipe], *, go_version: str) -> dict[str, str]:
    """Return each image's content address, given recipes in build order.

    Args:
        recipes: The recipes, each after those it depends on.
        go_version: What `go version` says; counts only where Go builds something.
    """
    done: dict[str, str] = {}
    for name, recipe in recipes.items():
        parts = [f"builder {BUILDER_VERSION}", repr(_settings(recipe))]
        parts += [f"{need} {done[need]}" for need in recipe.dependencies]
        if recipe.go:
            parts.append(go_version)
        for path in recipe.inputs:
            parts += _contents(path)
        done[name] = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    return done


def _settings(recipe: Recipe) -> list[object]:
    """Return the recipe's values after pins are filled in, without this checkout's paths."""
    go = [
        (dict(b.binaries), b.cgo, b.ldflags, b.tags, b.vendor, b.unchecked, b.capability)
        for b in recipe.go
    ]
    return [recipe.references, dict(recipe.args or {}), go]


def _contents(path: Path) -> list[str]:
    """Return name, kind and content hash of a file, or of every file below a folder."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if not p.is_dir())
    lines = []
    for file in files:
        relative = file.relative_to(path.parent)
        if any(part in UNHASHED for part in relative.parts):
            continue
        if file.is_symlink():
            content = f"link {file.readlink()}"
        else:
            executable = bool(file.stat().st_mode & stat.S_IXUSR)
            content = f"{executable} {hashlib.sha256(file.read_bytes()).hexdigest()}"
        lines.append(f"{relative} {content}")
    return lines


@contextmanager
def lock(name: str = "lock", what: str = "the images") -> Iterator[None]:
    """Let one command at a time work on something; waits while another does.

    The system releases it when the command and every process that it has started have ended, in
    whatever way: what a killed command leaves behind may still write.

    Args:
        name: Of the file in the cache that is locked; default the one of builds.
        what: What it is about, for people.
    """
    root().mkdir(parents=True, exist_ok=True)
    with (root() / name).open("w") as file, process.holding(file):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say(
                f"another command, or what a killed one has started, is at work on {what}: waiting "
                f"for its end (`fuser {root() / name}` names the processes)"
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sizes() -> dict[str, int]:
    """Return the bytes on disk of each part of the cache."""
    return {name: _size(root() / name) for name in chosen()}


def _size(folder: Path) -> int:
    total = 0
    for here, _, files in os.walk(folder):
        for file in files:
            total += (Path(here) / file).lstat().st_blocks * 512
    return total


def clean(part: str = "") -> None:
    """Remove a folder of the cache, or all of them, once no build is using it.

    Raises:
        BadInputError: There is no such folder.
    """
    with lock():
        for name in chosen(part):
            shutil.rmtree(root() / name)


def chosen(part: str = "") -> list[str]:
    """Return the folder of that name in the cache, or the names of all.

    Raises:
        BadInputError: There is no such folder.
    """
    there = sorted(found.name for found in root().glob("*") if found.is_dir())
    if not part:
        return there
    if part not in there:
        raise BadInputError(f"the cache has no part {part}", f"Its parts: {join_names(there)}")
    return [part]
