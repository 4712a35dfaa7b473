"""Backups in a restic repository, with restic itself."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from kfpkit import process
from kfpkit.backup import manifest, remote
from kfpkit.errors import BadInputError

if TYPE_CHECKING:
    from pathlib import Path


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


def test_a_backup_comes_back_whole_and_is_not_readable_there(
    repository: str, backup: Path, tmp_path: Path
) -> None:
    remote.push(repository, backup)
    fetched = remote.fetch(repository, "latest", tmp_path / "fetched")
    assert manifest.require_whole(fetched) == manifest.read(backup)
    stored = [f for f in (tmp_path / "repository").rglob("*") if f.is_file()]
    assert stored
    assert not any(b"a model" in f.read_bytes() for f in stored)


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


@pytest.mark.usefixtures("repository")
def test_what_is_named_from_where_the_user_is_is_found_from_there(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESTIC_PASSWORD_FILE", "password")
    remote.push("restic:repository", backup.relative_to(tmp_path))
    fetched = remote.fetch("restic:repository", "latest", tmp_path / "work")
    assert manifest.require_whole(fetched) == manifest.read(backup)


def test_a_folder_is_no_repository() -> None:
    assert not remote.is_remote("backups")
    assert not remote.is_remote("/restic:here")
