"""Runs read from their folders, and what their artifacts hold."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from kfpkit.core.errors import BadInputError
from kfpkit.kfp.run import Artifact, Run
from kfpkit.runs.compare.sides import Content, content, read

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_is_read_from_its_folder_and_from_its_description(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "a run, ünïcode"
    folder.mkdir()
    file = run.save(folder)
    assert read(folder) == read(file)
    assert read(file).folder == folder
    assert read(file).run == run


def test_a_description_of_format_2_is_read(run: Run, tmp_path: Path) -> None:
    data = json.loads(run.to_json())
    data["format"] = 2
    (tmp_path / "run.json").write_text(json.dumps(data))
    assert read(tmp_path).run.id == run.id


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"format": 1}', b"\xff\xfe", b"not json"])
def test_what_is_no_description_is_named(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(text)
    with pytest.raises(BadInputError, match=r"run\.json: .+\. Name the run\.json of a run") as said:
        read(tmp_path)
    assert str(said.value).count("\n") == 0


def test_a_folder_without_a_description_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"has no run\.json"):
        read(tmp_path)


def test_the_bytes_of_a_file_and_of_a_folder_are_hashed(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x")
    digest = hashlib.sha256(b"x").hexdigest()
    assert content(Artifact("a", "t", "", "one", size=1), tmp_path) == Content("t", digest, 1)

    (tmp_path / "many/below").mkdir(parents=True)
    (tmp_path / "many/b").write_bytes(b"x")
    (tmp_path / "many/below/ä").write_bytes(b"x")
    listing = f"{digest}  b\n{digest}  below/ä\n".encode()
    many = Artifact("a", "t", "", "many", size=2)
    assert content(many, tmp_path).sha256 == hashlib.sha256(listing).hexdigest()
    (tmp_path / "many/empty").mkdir()
    assert content(many, tmp_path).sha256 == hashlib.sha256(listing).hexdigest()
    (tmp_path / "many/below/ä").rename(tmp_path / "many/below/a")
    assert content(many, tmp_path).sha256 != hashlib.sha256(listing).hexdigest()


def test_bytes_that_have_gone_are_known_by_what_the_run_has_noted(tmp_path: Path) -> None:
    noted = Artifact("a", "t", "", "one", size=1, sha256="f" * 64)
    assert content(noted, tmp_path) == Content("t", "f" * 64, 1)
    (tmp_path / "one").write_bytes(b"x")
    assert content(noted, tmp_path).sha256 == hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize("path", ["", "gone", "../outside", "/etc/hostname"])
def test_bytes_that_are_not_in_the_folder_are_not_read(path: str, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("x")
    folder = tmp_path / "run"
    folder.mkdir()
    assert content(Artifact("a", "t", "s3://b/k", path, size=5), folder) == Content("t", "", 5)
