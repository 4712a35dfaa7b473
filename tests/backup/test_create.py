"""What a backup finds out about the installation."""

from __future__ import annotations

import pytest

from kfpkit.backup import create

KEYS = ["v2/artifacts/a", "v2/artifacts/folder/part-1", "v2/artifacts/folder2"]


@pytest.mark.parametrize("key", ["v2/artifacts/a", "v2/artifacts/folder", "v2/artifacts/folder/"])
def test_an_artifact_is_an_object_or_a_folder_of_them(key: str) -> None:
    assert create.lost([(f"minio://b/{key}", "system.Model")], "b", KEYS) == []


@pytest.mark.parametrize("key", ["v2/artifacts/fold", "v2/artifacts", "v2/artifacts/z", "a"])
def test_an_artifact_without_object_is_lost(key: str) -> None:
    there = ["a/b"] if key == "v2/artifacts" else KEYS
    uri = f"minio://b/{key}"
    assert create.lost([(uri, "system.Model")], "b", there) == [uri]


def test_metrics_and_other_buckets_need_no_object() -> None:
    uris = [("minio://b/x", "system.Metrics"), ("gs://other/x", "system.Model")]
    assert create.lost(uris, "b", []) == []


def test_what_belongs_to_one_cluster_is_left_behind() -> None:
    item = {"kind": "Secret", "metadata": {"name": "a", "uid": "1", "resourceVersion": "2"}}
    assert create.portable(item) == {"kind": "Secret", "metadata": {"name": "a"}}
