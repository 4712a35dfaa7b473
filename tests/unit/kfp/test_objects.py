"""Finding and fetching objects, out of a store in memory; the stores of clusters in test_remote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from obstore.store import MemoryStore

from kfpkit.core.errors import KitError
from kfpkit.kfp.objects import Found, Objects, bucket_of
from kfpkit.kfp.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def objects() -> Iterator[Objects]:
    """A bucket with a file and a folder."""
    store = MemoryStore()
    store.put("root/model", b"m" * 10)
    store.put("root/tables/train.csv", b"abc")
    store.put("root/tables/more/test.csv", b"de")
    store.put("root/tables-old", b"old")
    with Objects(Target("none", "none", "kubectl")) as found:
        found._stores["s3://bucket", "{}"] = store  # type: ignore[assignment]
        yield found


def test_a_file(objects: Objects, tmp_path: Path) -> None:
    found = objects.find("s3://bucket/root/model", {})
    assert found == Found(10, ["root/model"], folder=False)
    objects.fetch("s3://bucket/root/model", {}, found, tmp_path / "train/model")
    assert (tmp_path / "train/model").read_bytes() == b"m" * 10
    assert objects.read("s3://bucket/root/model", {}) == "m" * 10


def test_a_folder(objects: Objects, tmp_path: Path) -> None:
    found = objects.find("s3://bucket/root/tables", {})
    assert found == Found(5, ["root/tables/more/test.csv", "root/tables/train.csv"], folder=True)
    objects.fetch("s3://bucket/root/tables", {}, found, tmp_path / "tables")
    assert (tmp_path / "tables/train.csv").read_text() == "abc"
    assert (tmp_path / "tables/more/test.csv").read_text() == "de"
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == ["more", "train.csv"]


def test_nothing(objects: Objects) -> None:
    assert objects.find("s3://bucket/root/none", {}) is None
    with pytest.raises(KitError, match="s3://bucket/root/none cannot be read"):
        objects.read("s3://bucket/root/none", {})


def test_an_object_cannot_be_written_outside_its_folder(objects: Objects, tmp_path: Path) -> None:
    bad = Found(1, ["root/tables/../../../model"], folder=True)
    with pytest.raises(KitError, match="leads out of it"):
        objects.fetch("s3://bucket/root/tables", {}, bad, tmp_path / "tables")


def test_a_store_of_another_kind_is_named(objects: Objects) -> None:
    with pytest.raises(KitError, match="oci://"):
        objects.find("oci://registry/model", {})


def test_the_key_of_a_uri_is_what_kfp_takes_for_it(objects: Objects) -> None:
    store = objects._stores["s3://bucket", "{}"]
    for key in ("odd/a#1 é.txt", "odd/100%25"):
        store.put(key, b"1")
        assert objects.find(f"s3://bucket/{key}", {}) == Found(1, [key], folder=False)
    assert objects.find("s3://bucket/root/model?region=x", {}) == Found(
        10, ["root/model"], folder=False
    )


def test_a_store_that_nothing_tells_the_keys_of_is_not_asked(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(KitError, match="s3://other cannot be read from here: KFP names no Secret"):
        objects.find("s3://other/key", {"region": "x"})


@pytest.mark.parametrize("uri", ["", "table", "/a/path", "s3:///key"])
def test_what_is_no_uri_is_named(objects: Objects, uri: str) -> None:
    with pytest.raises(KitError, match="is no URI of an object store"):
        objects.find(uri, {})


def test_the_bucket_of_a_uri() -> None:
    assert bucket_of("minio://mlpipeline/v2/x") == "minio://mlpipeline"
    assert bucket_of("s3://b") == "s3://b"
    assert bucket_of("none") == ""
