"""Backups in a restic repository, with restic itself."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.errors import BadInputError
from kfpkit.core.versions import ROOT
from kfpkit.operations.backup import manifest, remote

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs/operate/backup.md").read_text()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a place that holds a new repository."""
    if not shutil.which("restic"):
        pytest.skip("restic is not installed")
    password = tmp_path / "password"
    password.write_text("of the test")
    monkeypatch.setenv("RESTIC_PASSWORD_FILE", str(password))
    monkeypatch.setenv("RESTIC_CACHE_DIR", str(tmp_path / "cache"))
    process.query(["restic", "--repo", str(tmp_path / "repository"), "init"])
    return f"restic:{tmp_path / 'repository'}"


def restic(place: str, *arguments: str, cwd: Path | None = None) -> str:
    argv = ["restic", "--repo", place.removeprefix(remote.SCHEME), *arguments]
    return process.query(argv, cwd=cwd).stdout


def another(backup: Path, name: str) -> Path:
    """Return a second backup beside the first, made at another time."""
    return shutil.copytree(backup, backup.with_name(name))


def test_a_backup_comes_back_whole_and_is_not_readable_there(
    repository: str, backup: Path, tmp_path: Path
) -> None:
    remote.push(repository, backup)
    fetched = remote.fetch(repository, "latest", tmp_path / "fetched")
    assert manifest.require_whole(fetched) == manifest.read(backup)
    stored = [f for f in (tmp_path / "repository").rglob("*") if f.is_file()]
    assert stored
    assert not any(b"a model" in f.read_bytes() for f in stored)


def test_it_is_the_snapshots_backup_whatever_was_fetched_before(
    repository: str, backup: Path, tmp_path: Path
) -> None:
    older = another(backup, "20250101T000000Z")
    staging, work = f"restic:{tmp_path / 'staging'}", tmp_path / "work"
    restic(staging, "init")
    remote.push(repository, backup)
    first = remote.fetch(repository, "latest", work)
    assert first.name == backup.name
    remote.push(staging, older)
    assert remote.fetch(staging, "latest", work).name == older.name
    remote.push(repository, older)
    assert remote.fetch(repository, "latest", work).name == older.name
    # And the first one by its own name.
    name = re.search(r"fetched-(\w{8})/", str(first))
    assert name
    assert remote.fetch(repository, name[1], work) == first


def test_latest_is_the_latest_of_the_kit(repository: str, backup: Path, tmp_path: Path) -> None:
    remote.push(repository, backup)
    restic(repository, "backup", str(another(backup, "20270101T000000Z")))
    assert remote.fetch(repository, "latest", tmp_path / "work").name == backup.name


def test_an_interrupted_copy_is_made_again(repository: str, backup: Path, tmp_path: Path) -> None:
    remote.push(repository, backup)
    fetched = remote.fetch(repository, "latest", tmp_path / "work")
    (fetched / "secrets.json").write_text("hal")
    shutil.rmtree(fetched.parent / manifest.OBJECTS)
    assert remote.fetch(repository, "latest", tmp_path / "work") == fetched
    assert manifest.require_whole(fetched) == manifest.read(backup)


def test_only_the_user_can_read_what_was_fetched(
    repository: str, backup: Path, tmp_path: Path
) -> None:
    remote.push(repository, backup)
    remote.fetch(repository, "latest", tmp_path / "work")
    (made,) = (tmp_path / "work").iterdir()
    assert made.stat().st_mode & 0o777 == 0o700


def test_a_snapshot_of_an_earlier_kit_comes_back(
    repository: str, backup: Path, tmp_path: Path
) -> None:
    what = [manifest.OBJECTS, backup.name]
    restic(repository, "backup", "--tag", remote.TAG, *what, cwd=backup.parent)
    fetched = remote.fetch(repository, "latest", tmp_path / "work")
    assert manifest.require_whole(fetched) == manifest.read(backup)


def test_a_snapshot_that_is_not_of_one_backup_is_refused(
    repository: str, backup: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match="has no snapshot 'latest'"):
        remote.fetch(repository, "latest", tmp_path / "work")
    other = another(backup, "20250101T000000Z")
    for what in ([backup.parent], [backup, other]):
        restic(repository, "backup", "--tag", remote.TAG, *map(str, what))
        with pytest.raises(BadInputError, match="is not that of one backup"):
            remote.fetch(repository, "latest", tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.usefixtures("repository")
def test_what_is_named_from_where_the_user_is_is_found_from_there(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESTIC_PASSWORD_FILE", "password")
    remote.push("restic:repository", backup.relative_to(tmp_path))
    fetched = remote.fetch("restic:repository", "latest", tmp_path / "work")
    assert manifest.require_whole(fetched) == manifest.read(backup)


def test_the_page_tells_how_old_snapshots_go(repository: str, backup: Path) -> None:
    told = re.search(r"`restic --repo … (forget [^`]*)`", PAGE)
    assert told
    for folder in (backup, another(backup, "20270101T000000Z")):
        remote.push(repository, folder)
    restic(repository, *shlex.split(told[1]))
    assert restic(repository, "list", "snapshots").count(os.linesep) == 1


@pytest.mark.usefixtures("repository")
def test_a_place_without_repository_is_refused_with_the_command_that_makes_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(BadInputError, match=r"restic --repo .*/nothing init"):
        remote.require(f"restic:{tmp_path / 'nothing'}")


def test_a_wrong_password_is_refused(repository: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("another")
    with pytest.raises(BadInputError, match="wrong password"):
        remote.require(repository)


def test_without_password_nothing_is_done(repository: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in remote.PASSWORDS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadInputError, match="restic has no password"):
        remote.require(repository)


def test_a_folder_is_no_repository() -> None:
    assert not remote.is_remote("backups")
    assert not remote.is_remote("/restic:here")
