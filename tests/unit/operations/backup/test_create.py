"""What a backup finds out about the installation."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest
from obstore.store import MemoryStore

from kfpkit.operations.backup import create, objects

if TYPE_CHECKING:
    from pathlib import Path

KEYS = ["v2/artifacts/a", "v2/artifacts/folder/part-1", "v2/artifacts/folder2"]


@pytest.mark.parametrize("key", ["v2/artifacts/a", "v2/artifacts/folder", "v2/artifacts/folder/"])
def test_an_artifact_is_an_object_or_a_folder_of_them(key: str) -> None:
    assert create.lost([(f"minio://b/{key}", "system.Model")], "b", KEYS) == []


@pytest.mark.parametrize("key", ["v2/artifacts/fold", "v2/artifacts", "v2/artifacts/z", "a"])
def test_an_artifact_without_object_is_lost(key: str) -> None:
    there = ["a/b"] if key == "v2/artifacts" else KEYS
    uri = f"minio://b/{key}"
    assert create.lost([(uri, "system.Model")], "b", there) == [uri]


@pytest.mark.parametrize(
    "uri",
    [
        "minio://b/t/a.txt?endpoint=minio-service:9000&region=minio",
        "minio://b/t/folder?region=minio",
        "gs://b/t/a.txt?prefix=x",
        "minio://b/t/a b.txt",
        "minio://b/t/a#b",
        "minio://b/t/a%20b?region=minio",
        "minio://b/t/ü/名前",
        "minio://b/t/what?",
        "minio://b//t/a.txt",
    ],
)
def test_the_key_of_a_uri_is_without_its_query_and_else_as_it_is(uri: str) -> None:
    there = ["a.txt", "folder/part", "a b.txt", "a#b", "a%20b", "ü/名前", "what?"]
    there = [f"t/{name}" for name in there]
    assert create.lost([(uri, "system.Model")], "b", there) == []
    assert create.elsewhere([(uri, "system.Model")], "b") == []
    # It is judged: without the objects it is lost.
    assert create.lost([(uri, "system.Model")], "b", ["t/a", "t/b", "t/a?"]) == [uri]


@pytest.mark.parametrize(
    "uri",
    [
        "minio://other/b/t/a.txt",
        "s3://b/t/a.txt?region=eu-west-1",
        "s3://other/t/a.txt",
        "gs://other/t/a.txt?b/t",
        "minio://b?region=minio",
        "https://b/t/a.txt",
        "oci://b/model:1",
        "/t/a.txt",
    ],
)
def test_what_is_elsewhere_is_not_lost(uri: str) -> None:
    assert create.lost([(uri, "system.Model")], "b", []) == []
    assert create.elsewhere([(uri, "system.Model"), (uri, "system.Metrics")], "b") == [uri]


def test_metrics_and_other_buckets_need_no_object() -> None:
    uris = [("minio://b/x", "system.Metrics"), ("gs://other/x", "system.Model")]
    assert create.lost(uris, "b", []) == []


def test_what_belongs_to_one_cluster_is_left_behind() -> None:
    item = {"kind": "Secret", "metadata": {"name": "a", "uid": "1", "resourceVersion": "2"}}
    assert create.portable(item) == {"kind": "Secret", "metadata": {"name": "a"}}


def test_objects_are_written_as_kubectl_takes_them_and_for_the_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "objects.json"
    create._write(file, [{"metadata": {"name": "a", "uid": "1", "resourceVersion": "2"}}])
    written = json.loads(file.read_text())
    assert (written["apiVersion"], written["kind"]) == ("v1", "List")
    assert create.objects_of(written) == [{"metadata": {"name": "a", "uid": "1"}}]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_objects_of_an_earlier_backup_are_read() -> None:
    assert create.objects_of([{"kind": "Secret"}]) == [{"kind": "Secret"}]


def test_the_artifacts_are_for_the_owner_alone_in_a_folder_that_is_open(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    objects.fetch(MemoryStore(), tmp_path / "objects", {})
    assert stat.S_IMODE((tmp_path / "objects").stat().st_mode) == 0o700
