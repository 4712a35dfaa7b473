from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from kfpkit.core import process
from kfpkit.kfp.digest import sha256

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_has_the_hash_that_sha256sum_prints(tmp_path: Path) -> None:
    file = tmp_path / "Größe 🐧"
    file.write_bytes(b"\0" * 3_000_000)
    assert sha256(file) == process.query(["sha256sum", str(file)]).stdout.split()[0]
    file.write_bytes(b"")
    assert sha256(file) == hashlib.sha256().hexdigest()


def test_a_folder_has_the_hash_of_what_sha256sum_prints_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "b/c").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "b/c/ü x").write_text("1")
    (tmp_path / "a").write_text("2")
    (tmp_path / "b.txt").write_text("3")
    names = ["a", "b.txt", "b/c/ü x"]
    printed = process.query(["sha256sum", *names], cwd=tmp_path).stdout
    assert sha256(tmp_path) == hashlib.sha256(printed.encode()).hexdigest()
    before = sha256(tmp_path)
    (tmp_path / "a").rename(tmp_path / "a2")
    assert sha256(tmp_path) != before


def test_what_is_not_there_or_no_file_has_none(tmp_path: Path) -> None:
    assert sha256(tmp_path / "none") == ""
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    assert sha256(tmp_path / "dangling") == ""
    os.mkfifo(tmp_path / "pipe")
    assert sha256(tmp_path / "pipe") == ""
