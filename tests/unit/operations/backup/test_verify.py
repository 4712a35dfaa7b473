"""The proof: a dump that loads and fits the artifacts is taken, any other refused."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.errors import KitError
from kfpkit.operations.backup import verify
from kfpkit.operations.backup.manifest import read, write
from tests.support.backups import DUMP, SWF
from tests.support.dumps import with_dump

if TYPE_CHECKING:
    from pathlib import Path


def test_where_no_mariadb_is_the_proof_is_said_to_be_missing(
    backup: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "server", lambda: None)
    verify.verify(backup)
    assert "NOT PROVED" in capsys.readouterr().err


@pytest.mark.parametrize(
    "dump",
    [
        gzip.compress(DUMP.encode())[:-20],
        gzip.compress(DUMP.replace("-- Dump completed", "-- Dump").encode()),
        gzip.compress(DUMP.replace("USE `metadb`", "USE `other`").encode()),
    ],
    ids=["cut off", "no end", "one database"],
)
def test_a_dump_that_is_not_whole_is_refused_without_mariadb_too(
    backup: Path, monkeypatch: pytest.MonkeyPatch, dump: bytes
) -> None:
    monkeypatch.setattr(verify, "server", lambda: None)
    with_dump(backup, dump)
    with pytest.raises(KitError):
        verify.verify(backup)


def test_a_run_that_the_dump_lacks_is_found(backup: Path) -> None:
    manifest = read(backup)
    assert verify.troubles(manifest, [["runs", 0]]) == ["the dump has 0 runs, not 1"]
    assert verify.troubles(manifest, [["runs", 2]]) == []


def test_artifacts_that_were_lost_before_are_no_damage(backup: Path) -> None:
    manifest = read(backup)
    rows = [["runs", 1], ["uri", "minio://mlpipeline/gone", "system.Model"]]
    assert verify.troubles(manifest, rows) == ["minio://mlpipeline/gone has no object"]
    manifest.lost.append("minio://mlpipeline/gone")
    assert verify.troubles(manifest, rows) == []


def test_imported_artifacts_are_found_by_their_keys_and_those_of_elsewhere_are_said(
    backup: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "v2/artifacts/penguins/1/train/model"
    rows = [
        ["runs", 1],
        ["job", "yearly", "uid"],
        ["uri", f"minio://mlpipeline/{key}?endpoint=minio-service:9000", "system.Model"],
        ["uri", "minio://mlpipeline/v2/artifacts/penguins/1/evaluate?region=x", "system.Dataset"],
        ["uri", "s3://mlpipeline/of/somebody/else?region=eu-west-1", "system.Dataset"],
        ["uri", "gs://bucket/file", "system.Dataset"],
    ]
    answer = process.Result(0, "\n".join(map(json.dumps, rows)), "")
    monkeypatch.setattr(verify, "server", lambda: ["true"])
    monkeypatch.setattr(process, "query", lambda *_, **__: answer)
    verify.verify(backup)
    said = " ".join(capsys.readouterr().err.split())
    assert "not in its bucket: 2 artifacts that were imported, among them gs://bucket/file" in said
    assert "warning" not in said
    rows.append(["uri", "minio://mlpipeline/t/gone.txt?region=x", "system.Dataset"])
    answer = process.Result(0, "\n".join(map(json.dumps, rows)), "")
    with pytest.raises(KitError, match=r"minio://mlpipeline/t/gone.txt\?region=x has no object"):
        verify.verify(backup)


def test_artifacts_without_object_when_it_was_made_are_a_warning(
    backup: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = read(backup)
    manifest.lost.append("minio://mlpipeline/never/written")
    write(manifest, backup)
    rows = [["runs", 1], ["job", "yearly", "uid"], ["uri", manifest.lost[0], "system.Dataset"]]
    answer = process.Result(0, "\n".join(map(json.dumps, rows)), "")
    monkeypatch.setattr(verify, "server", lambda: ["true"])
    monkeypatch.setattr(process, "query", lambda *_, **__: answer)
    verify.verify(backup)
    said = " ".join(capsys.readouterr().err.split())
    assert "1 artifacts have no object, lost or never written" in said


def test_recurring_runs_of_one_place_only_are_told() -> None:
    rows = [["job", "yearly", "uid"], ["job", "daily", "other"], ["odd", "something"]]
    found = verify.oddities([json.loads(json.dumps(SWF))], rows)
    assert found[0] == "something"
    assert "daily" in found[1]
    assert len(found) == 2
