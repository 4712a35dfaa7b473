"""Artifacts out of Cloud Storage, by Google's client, against the stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kfpkit.core.errors import KitError
from kfpkit.kfp.metadata import Output
from kfpkit.vertex import storage
from kfpkit.vertex.results import _Reader
from kfpkit.vertex.storage import Storage
from tests.support.vertex.server import BUCKET, StandIn, target

if TYPE_CHECKING:
    from pathlib import Path

# Google's client takes half a minute to import on a busy machine.
pytestmark = pytest.mark.timeout(600)

ROOT = f"gs://{BUCKET}"


def found(stand_in: StandIn, key: str) -> list[str] | None:
    listing = Storage(target(stand_in)).find(f"{ROOT}/{key}")
    return listing.keys if listing else None


def test_what_is_found_is_the_artifacts_own(stand_in: StandIn) -> None:
    stand_in.objects |= {"data/x": b"1", "data/y": b"22", "data-archive/x": b"333", "a": b"4"}
    stand_in.objects["a/b"] = b"5"
    assert found(stand_in, "data") == ["data/x", "data/y"]
    assert found(stand_in, "data/") == ["data/x", "data/y"]
    assert found(stand_in, "data/x") == ["data/x"]
    assert found(stand_in, "a") == ["a"]
    assert found(stand_in, "dat") is None


@pytest.mark.parametrize("uri", [ROOT, f"{ROOT}/", f"{ROOT}//"])
def test_a_whole_bucket_stays_where_it_is(stand_in: StandIn, uri: str) -> None:
    with pytest.raises(KitError, match="is a whole bucket"):
        Storage(target(stand_in)).find(uri)
    assert not stand_in.requests


def test_too_many_objects_stay_where_they_are(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "OBJECTS", 3)
    stand_in.objects |= {f"data/{n}": b"" for n in range(3)} | {"data-archive/x": b""}
    assert found(stand_in, "data") == ["data/0", "data/1", "data/2"]
    stand_in.objects["data/3"] = b""
    with pytest.raises(KitError, match="more than 3 objects"):
        found(stand_in, "data")


def test_an_artifact_that_no_disk_takes_is_left_out_and_that_is_said(
    stand_in: StandIn, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stand_in.objects |= {"long/" + "x" * 300: b"1", "both/a": b"1", "both/a/b": b"2", "ok": b"3"}
    reader = _Reader(target(stand_in), tmp_path)
    for key in ("long", "both"):
        output = Output(key, "system.Artifact", f"{ROOT}/{key}", {}, {})
        assert not reader.artifact(output, tmp_path / key, "r").path
    said = " ".join(capfd.readouterr().err.split())
    assert "/long: File name too long" in said
    assert "/both: " in said
    output = Output("ok", "system.Artifact", f"{ROOT}/ok", {}, {})
    assert reader.artifact(output, tmp_path / "ok", "r").path
    assert (tmp_path / "ok").read_bytes() == b"3"
