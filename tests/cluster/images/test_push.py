"""The component push, in its image, to a real object store.

Cloud Storage has a stand-in in the unit tests: fake-gcs-server lacks the XML API, which obstore
speaks.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support import stores

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.containers import Engine
    from tests.support.stores import Store

pytestmark = [pytest.mark.docker, pytest.mark.long]

#: More than one part.
LARGE = 600 * 2**20


@pytest.fixture
def store(docker: Engine, volume: Path) -> Store:
    """A store with an empty bucket."""
    (volume / stores.BUCKET).mkdir()
    (volume / stores.BUCKET).chmod(0o777)
    return stores.s3(docker, str(volume))


def test_a_version_is_pushed_once_and_the_pointer_each_time(store: Store) -> None:
    first = store.push("one", times=2)
    version = first["latest"]["version"]
    assert first["uri"] == f"{store.to}/m/versions/{version}"
    names = ("manifest.json", "model", "model_card.md")
    assert set(first["objects"]) == {
        "m/latest.json",
        *(f"m/versions/{version}/{name}" for name in names),
    }
    second = store.push("two")
    assert second["latest"]["version"] != version
    assert set(first["objects"]) < set(second["objects"])


def test_pushes_at_a_time_leave_whole_versions_and_the_last_as_the_latest(store: Store) -> None:
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(store.push, ("one", "two", "three")))
    last = store.push("one")
    versions = {name.split("/")[2] for name in last["objects"] if "/versions/" in name}
    assert versions == {each["uri"].rpartition("/")[2] for each in done}
    assert len(last["objects"]) == 1 + 3 * 3
    assert last["latest"]["version"] == done[0]["uri"].rpartition("/")[2]


def test_a_model_larger_than_the_memory_is_pushed(store: Store) -> None:
    done = store.push("large", size=LARGE)
    [size] = [size for name, size in done["objects"].items() if name.endswith("/model")]
    assert size == LARGE


def test_a_wrong_password_and_a_missing_bucket_are_one_line(docker: Engine, volume: Path) -> None:
    store = stores.s3(docker, str(volume))
    for said in (
        store.push("one", AWS_SECRET_ACCESS_KEY="s3cr3t-wrong"),  # noqa: S106 - none
        store.push("one"),
    ):
        assert said.startswith(f"error: the model cannot be pushed to {store.to}: ")
        assert said.count("\n") == 1
        assert "s3cr3t" not in said
