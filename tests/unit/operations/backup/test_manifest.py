"""A backup that is not as it was written is refused, wherever the damage is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kfpkit.core.errors import BadInputError, KitError
from kfpkit.operations.backup import manifest

if TYPE_CHECKING:
    from pathlib import Path

#: The files of the fixture's backup; artifacts by their number.
FILES = [
    "manifest.json",
    "manifest.sha256",
    "databases.sql.gz",
    "secrets.json",
    "recurring-runs.json",
    "configuration.yaml",
    0,
    1,
]


def place(backup: Path, file: str | int) -> Path:
    """Return a file of the backup; of the artifacts those that are not empty count."""
    if isinstance(file, str):
        return backup / file
    blobs = sorted(f for f in backup.parent.glob("objects/*/*") if f.stat().st_size)
    return blobs[file]


def test_a_whole_backup_is_taken_and_all_of_it_was_written_down(backup: Path) -> None:
    found = manifest.require_whole(backup)
    assert set(found.parts) | {manifest.NAME, manifest.SUM} == {f.name for f in backup.iterdir()}
    assert len(found.artifacts) == 3
    assert found == manifest.read(backup)
    assert {f for f in FILES if isinstance(f, str)} == {f.name for f in backup.iterdir()}


@pytest.mark.parametrize("file", FILES)
def test_a_flipped_bit_is_found(backup: Path, file: str | int) -> None:
    damaged = place(backup, file)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(KitError, match="damaged"):
        manifest.require_whole(backup)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_found(backup: Path, file: str | int) -> None:
    place(backup, file).unlink()
    with pytest.raises(KitError, match=r"cannot be read|is no backup"):
        manifest.require_whole(backup)


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_was_cut_off_is_found(backup: Path, file: str | int) -> None:
    damaged = place(backup, file)
    damaged.write_bytes(damaged.read_bytes()[:-1] if file != "manifest.sha256" else b"")
    with pytest.raises(KitError, match="damaged"):
        manifest.require_whole(backup)


def test_the_error_names_each_damage(backup: Path) -> None:
    (backup / "secrets.json").unlink()
    place(backup, 0).write_bytes(b"other")
    with pytest.raises(KitError, match=r"secrets\.json cannot be read.*") as raised:
        manifest.require_whole(backup)
    assert str(place(backup, 0)) in str(raised.value)


def reform(backup: Path, format_: int) -> None:
    """Give a backup's manifest another format."""
    file = backup / manifest.NAME
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": format_}))
    digest = manifest.digest(file).sha256
    (backup / manifest.SUM).write_text(f"{digest}  {manifest.NAME}\n")


def test_a_format_of_a_later_kit_is_refused(backup: Path) -> None:
    reform(backup, manifest.FORMAT + 1)
    with pytest.raises(BadInputError, match=f"format {manifest.FORMAT + 1}"):
        manifest.read(backup)


@pytest.mark.parametrize("format_", [1, manifest.FORMAT])
def test_a_format_of_an_earlier_kit_is_read(backup: Path, format_: int) -> None:
    reform(backup, format_)
    assert manifest.read(backup).format == format_


def test_the_newest_whole_backup_of_a_folder_is_found(backup: Path) -> None:
    (backup.parent / "20270101T000000Z.part").mkdir()
    assert manifest.find(backup.parent) == backup
    assert manifest.find(backup) == backup


def test_a_folder_without_a_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="there is no backup in"):
        manifest.find(tmp_path)
