"""Artifacts are copied once, whole, and back to where they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import obstore

from kfpkit.operations.backup import objects
from kfpkit.operations.backup.manifest import blob
from tests.support.backups import ARTIFACTS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from obstore.store import MemoryStore


def test_what_an_earlier_backup_has_is_not_copied_again(store: MemoryStore, tmp_path: Path) -> None:
    first, copied = objects.fetch(store, tmp_path / "objects", {})
    assert copied == sum(map(len, ARTIFACTS.values()))
    obstore.put(store, "new", b"12345")
    second, copied = objects.fetch(store, tmp_path / "objects", first)
    assert copied == 5
    assert second.keys() - first.keys() == {"new"}
    assert {key: second[key] for key in first} == first


def test_what_has_changed_or_is_gone_from_the_folder_is_copied_again(
    store: MemoryStore, tmp_path: Path
) -> None:
    folder = tmp_path / "objects"
    first, _ = objects.fetch(store, folder, {})
    key, other, _ = ARTIFACTS
    obstore.put(store, key, b"A model")  # As long as before.
    blob(folder, first[other].sha256).unlink()
    second, copied = objects.fetch(store, folder, first)
    assert copied == len(ARTIFACTS[key]) + len(ARTIFACTS[other])
    assert second[key].sha256 != first[key].sha256
    for artifact in second.values():
        assert blob(folder, artifact.sha256).stat().st_size == artifact.size


def test_files_that_a_killed_backup_left_are_removed(store: MemoryStore, tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    folder.mkdir()
    (folder / ".part-1").write_bytes(b"half")
    objects.fetch(store, folder, {})
    assert not list(folder.glob(".part-*"))


def test_artifacts_come_back_byte_for_byte(store: MemoryStore, tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    artifacts, _ = objects.fetch(store, folder, {})
    before = objects.hashes(store)
    key, other, _ = ARTIFACTS
    obstore.delete(store, key)
    obstore.put(store, other, b"spoiled")
    assert objects.put(store, folder, artifacts) == 2
    assert objects.hashes(store) == before
    assert objects.put(store, folder, artifacts) == 0


def test_objects_are_deleted_and_no_others(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "DELETED", 1)
    first, second, kept = ARTIFACTS
    objects.remove(store, [first, second])
    assert set(objects.listed(store)) == {kept}
