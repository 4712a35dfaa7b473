"""The push: a version is whole or not there, the pointer goes forward, and nothing is guessed."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING, Any

import obstore
import pytest
from obstore.store import LocalStore, MemoryStore

from components.errors import ComponentError
from components.push import logic
from kfpkit.core import process
from kfpkit.core.versions import ROOT
from tests.support.gcs import Gcs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

SECRET = "s3cr3t-w0rd"  # noqa: S105 - for these tests only


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for models, with a blank in its name; it is not there yet."""
    return tmp_path / "my models"


@pytest.fixture
def push(tmp_path: Path, place: Path) -> Callable[..., Path]:
    """What pushes to `place` and returns the version's folder."""

    def push(content: bytes | Path = b"model", **changes: Any) -> Path:
        model = content if not isinstance(content, bytes) else tmp_path / "trained"
        if isinstance(content, bytes):
            model.write_bytes(content)
        (tmp_path / "card").write_text("# Karte für 🐧\n", encoding="utf-8")
        given: dict[str, Any] = {"accuracy": 0.95, "to": str(place), "name": "penguins"}
        given |= {"min_accuracy": 0.9, "run_id": "1-2-3", "endpoint": ""}
        given |= {"model_card": tmp_path / "card", "uri": tmp_path / "out/uri"}
        assert logic.push(model, **given | changes) == {}
        written = (tmp_path / "out/uri").read_text()
        return place.parent / written

    return push


def latest(place: Path) -> dict[str, Any]:
    return dict(json.loads((place / "penguins/latest.json").read_text()))


def everything(place: Path) -> dict[str, bytes]:
    files = (file for file in place.rglob("*") if file.is_file())
    return {file.relative_to(place).as_posix(): file.read_bytes() for file in files}


def test_a_version_has_model_card_and_a_manifest_of_them(
    push: Callable[..., Path], place: Path
) -> None:
    version = push(b"model")
    assert version.parent == place / "penguins/versions"
    assert {file.name for file in version.iterdir()} == {
        "model",
        "model_card.md",
        "manifest.json",
    }
    manifest = json.loads((version / "manifest.json").read_text())
    for name, known in manifest.pop("files").items():
        content = (version / name).read_bytes()
        assert known == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    about = {"name": "penguins", "run_id": "1-2-3", "accuracy": 0.95, "version": version.name}
    assert manifest == about | {"pushed": manifest["pushed"]}
    assert latest(place) == manifest | {
        "manifest": f"penguins/versions/{version.name}/manifest.json"
    }


def test_to_push_a_model_again_writes_nothing_but_the_pointer(
    push: Callable[..., Path], place: Path
) -> None:
    first = push()
    before, pointer = everything(place), latest(place)
    assert push(run_id="another") == first
    after = everything(place)
    assert after.pop("penguins/latest.json") != before.pop("penguins/latest.json")
    assert after == before
    assert latest(place)["run_id"] == "another"
    assert latest(place)["pushed"] > pointer["pushed"]


def test_another_model_is_another_version_and_the_old_one_can_come_back(
    push: Callable[..., Path], place: Path
) -> None:
    first, second = push(b"1"), push(b"2")
    assert latest(place)["version"] == second.name != first.name
    assert (first / "model").read_bytes() == b"1"
    push(b"1")
    assert latest(place)["version"] == first.name


def test_another_card_is_another_version(
    push: Callable[..., Path], place: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").write_text("# Other\n")
    first, second = push(), push(model_card=tmp_path / "other")
    assert latest(place)["version"] == second.name != first.name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accuracy": 0.8999}, r"accuracy 0\.8999 is below min_accuracy 0\.9"),
        ({"accuracy": float("nan")}, "^accuracy is nan"),
        ({"min_accuracy": 90.0}, "^min_accuracy is 90"),
        ({"name": ""}, "^name is ''"),
        ({"name": "../x"}, "^name is"),
        ({"name": "a/b"}, "^name is"),
        ({"name": "-x"}, "^name is"),
        ({"name": "ü"}, "^name is"),
        ({"to": ""}, "^to is no place"),
        ({"to": "models"}, "^to is no place"),
        ({"to": "~/models"}, "^to is no place"),
        ({"to": "http://x/y"}, "^to is no place"),
        ({"to": "minio://models/y"}, "^to is no place"),
        ({"to": "s3://"}, "^to is no place"),
        ({"to": f"s3://key:{SECRET}@host/x"}, "^to is no place"),
        ({"endpoint": "minio-service:9000"}, "^endpoint is no address"),
        ({"endpoint": f"http://a:{SECRET}@b"}, "^endpoint is no address"),
    ],
)
def test_what_may_not_be_pushed_is_refused_before_anything_is_written(
    push: Callable[..., Path], place: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ComponentError, match=message) as refused:
        push(**changes)
    assert SECRET not in str(refused.value)
    assert not place.exists()
    assert not (place.parent / "out").exists()


def test_a_push_that_ends_half_way_is_no_version_and_the_next_one_mends_it(
    push: Callable[..., Path], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = push(b"old")
    put = obstore.put

    def broken(store: Any, key: str, *args: Any, **kwargs: Any) -> Any:
        if key.endswith("model_card.md"):
            raise OSError("the disk is full")
        return put(store, key, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(obstore, "put", broken)
        with pytest.raises(ComponentError, match=r"cannot be pushed to .+: the disk is full"):
            push(b"new")
    [half] = {*(place / "penguins/versions").iterdir()} - {old}
    assert [file.name for file in half.iterdir()] == ["model"]
    assert latest(place)["version"] == old.name

    assert push(b"new") == half
    assert (half / "manifest.json").exists()
    assert latest(place)["version"] == half.name


@pytest.fixture
def models(tmp_path: Path) -> list[dict[str, Path]]:
    """Files of eight versions."""
    made = []
    for number in range(8):
        file = tmp_path / str(number)
        file.write_text(str(number))
        made.append({"model": file})
    return made


def pointer(store: Any) -> dict[str, Any]:
    return dict(json.loads(bytes(obstore.get(store, "m/latest.json").bytes())))


def test_of_pushes_at_a_time_the_one_that_began_last_is_the_latest(
    models: list[dict[str, Path]],
) -> None:
    store = MemoryStore()
    began = [NOON + timedelta(seconds=number * 5 % 8) for number in range(8)]

    def publish(number: int) -> tuple[str, bool]:
        return logic.publish(store, models[number], {"name": "m"}, began[number])

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(publish, range(8)))
    last = began.index(max(began))
    assert pointer(store)["version"] == done[last][0]
    assert done[last][1]
    assert len({version for version, _ in done}) == 8


def test_a_slow_push_does_not_put_the_pointer_back(models: list[dict[str, Path]]) -> None:
    store = MemoryStore()
    newer, _ = logic.publish(store, models[1], {"name": "m"}, NOON)
    older, moved = logic.publish(store, models[0], {"name": "m"}, NOON - timedelta(hours=1))
    assert not moved
    assert pointer(store)["version"] == newer
    obstore.head(store, f"m/versions/{older}/manifest.json")


def test_a_pointer_that_is_set_between_reading_and_writing_is_not_lost(
    models: list[dict[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    logic.publish(store, models[0], {"name": "m"}, NOON)
    get = obstore.get
    others = iter([timedelta(hours=1)])

    def get_slowly(*args: Any) -> Any:
        found = get(*args)
        for later in others:
            logic.publish(store, models[2], {"name": "m"}, NOON + later)
        return found

    monkeypatch.setattr(obstore, "get", get_slowly)
    _, moved = logic.publish(store, models[1], {"name": "m"}, NOON + timedelta(minutes=1))
    assert not moved
    assert pointer(store)["pushed"].startswith("2026-01-01T13:00:00")


def test_the_same_model_at_a_time_is_one_version(models: list[dict[str, Path]]) -> None:
    store = MemoryStore()

    def publish(_: int) -> tuple[str, bool]:
        return logic.publish(store, models[0], {"name": "m"}, NOON)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(publish, range(8)))) == 1
    keys = {entry["path"].rpartition("/")[2] for entry in store.list("m").collect()}
    assert keys == {"model", "manifest.json", "latest.json"}


def test_a_store_without_conditions_is_written_to(
    models: list[dict[str, Path]], tmp_path: Path
) -> None:
    """A folder has none for a change."""
    store = LocalStore(tmp_path / "place", mkdir=True)
    for model in models:
        version, moved = logic.publish(store, model, {"name": "m"}, NOON)
        assert moved
        assert pointer(store)["version"] == version


def test_a_pointer_of_others_is_left_alone(push: Callable[..., Path], place: Path) -> None:
    (place / "penguins").mkdir(parents=True)
    for text in ("", "[]", "{}", '{"pushed": 7}'):
        (place / "penguins/latest.json").write_text(text)
        with pytest.raises(ComponentError, match=r"latest\.json is not a pointer that push has"):
            push()
        assert (place / "penguins/latest.json").read_text() == text


def test_a_folder_is_pushed_with_what_its_links_lead_to(
    push: Callable[..., Path], tmp_path: Path
) -> None:
    model, other = tmp_path / "model", tmp_path / "other"
    for folder in (model / "in", other / "deep"):
        folder.mkdir(parents=True)
        (folder / "a").write_text(folder.name)
    (model / "linked").symlink_to(other)
    (model / "in/side").symlink_to("../linked/deep")
    (model / "file").symlink_to(other / "deep/a")
    (tmp_path / "link").symlink_to(model)
    expected = {"in/a": b"in", "in/side/a": b"deep", "linked/deep/a": b"deep", "file": b"deep"}
    for given in (model, tmp_path / "link"):
        assert everything(push(given) / "model") == expected


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ({"in/x": "nowhere"}, "there is no file at .*in/x"),
        ({"in/x": "y", "in/y": "x"}, "there is no file at .*in/x, .*in/y|in/y, .*in/x"),
        ({"in/x": "."}, "in/x leads to a folder that it is in"),
        ({"in/x": ".."}, "in/x leads to a folder that it is in"),
        ({"in/x": "../.."}, "in/x leads to a folder that it is in"),
        ({"in/x": "../to", "to/y": "../in"}, "leads to a folder that it is in"),
        ({"in/x": "../../beside", "../beside/y": "../model"}, "leads to a folder that it is in"),
    ],
)
def test_a_link_that_leads_nowhere_or_in_a_circle_is_refused(
    links: dict[str, str], message: str, push: Callable[..., Path], place: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    for name in ("model/in", "model/to", "beside"):
        (tmp_path / name).mkdir(parents=True)
    (model / "in/a").write_text("a")
    for name, target in links.items():
        (model / name).symlink_to(target)
    with pytest.raises(ComponentError, match=message):
        push(model)
    assert not place.exists()


def test_a_folder_that_cannot_be_read_is_refused(
    push: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "model/in"
    inner.mkdir(parents=True)
    (tmp_path / "model/a").write_text("a")
    scan = os.scandir

    def refuse(path: Any) -> Any:
        if os.fspath(path) == str(inner):
            raise PermissionError(13, "Permission denied", str(inner))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ComponentError, match="Permission denied"):
        push(tmp_path / "model")


def test_a_folder_is_pushed_with_all_that_is_in_it(
    push: Callable[..., Path], tmp_path: Path
) -> None:
    model = tmp_path / "saved"
    names = ["weights.bin", "deep/er/ü 100% #1?.txt", "empty", "model_card.md"]
    for name in names:
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text(name if name != "empty" else "")
    version = push(model)
    manifest = json.loads((version / "manifest.json").read_text())
    assert sorted(manifest["files"]) == sorted([*(f"model/{n}" for n in names), "model_card.md"])
    store = LocalStore(version)
    for name in names:
        content = bytes(obstore.get(store, f"model/{name}").bytes()).decode()
        assert content == (name if name != "empty" else "")


def test_nothing_to_push_is_refused(push: Callable[..., Path], tmp_path: Path, place: Path) -> None:
    (tmp_path / "empty").mkdir()
    for model in (tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(ComponentError, match=r"^there is no file at "):
            push(model)
    with pytest.raises(ComponentError, match=r"^there is no file at .+none"):
        push(model_card=tmp_path / "none")
    assert not place.exists()


def test_a_place_that_cannot_be_written_is_one_line(
    push: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ComponentError, match=r"^the model cannot be pushed to ") as refused:
        push(to=str(tmp_path / "file/models"))
    assert "\n" not in str(refused.value)


def test_a_store_that_is_not_there_is_one_line_without_the_credentials(
    push: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with pytest.raises(ComponentError, match=r"^the model cannot be pushed to s3://") as refused:
        push(to="s3://models/a", endpoint="http://127.0.0.1:9")
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "Debug" not in str(refused.value)


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gcs]:
    """A stand-in for Cloud Storage, and credentials for it."""
    with Gcs() as server:
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", server.account)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.shutdown()


def test_cloud_storage_takes_versions_in_parts_and_the_pointer_by_its_generation(
    push: Callable[..., Path], gcs: Gcs, tmp_path: Path
) -> None:
    uri, where = tmp_path / "out/uri", {"to": "gs://models/a", "endpoint": gcs.address}
    large = b"x" * (3 * logic.PART + 1)
    for content in (b"small", large, large):
        push(content, **where)
    version = f"models/a/{uri.read_text().removeprefix('gs://models/a/')}"
    assert gcs.objects[f"{version}/model"] == (large, 1)
    assert gcs.objects[f"{version}/manifest.json"][1] == 1
    pointer, generation = gcs.objects["models/a/penguins/latest.json"]
    assert json.loads(pointer)["version"] == version.rpartition("/")[2]
    assert generation == 3
    assert len(gcs.objects) == 7


def test_pushes_to_cloud_storage_at_a_time(models: list[dict[str, Path]], gcs: Gcs) -> None:
    store = logic._store("gs://models", gcs.address)

    def publish(number: int) -> str:
        began = NOON + timedelta(seconds=number)
        return logic.publish(store, models[number], {"name": "m"}, began)[0]

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(publish, range(8)))
    assert pointer(store)["version"] == done[-1]


@pytest.mark.parametrize("size", [0, 1, logic.PART, 10**11, 5 * 2**40])
def test_a_file_of_any_size_has_parts_that_s3_takes(size: int) -> None:
    part = logic.part_size(size)
    assert part >= 5 * 2**20
    assert size / part <= 10_000


#: Pushes a file in a process of its own, and prints the most memory that it had, in KiB.
MEASURED = """
import resource, sys
from pathlib import Path
from components.push.logic import push
model, card, to, uri = map(Path, sys.argv[1:])
push(model, card, 1, str(to), "m", 0, "", "", uri)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_large_model_is_not_read_into_memory(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as large:
        large.truncate(2**30)
    (tmp_path / "card").write_text("")
    files = [str(tmp_path / name) for name in ("large", "card", "to", "uri")]
    said = process.query([sys.executable, "-c", MEASURED, *files], cwd=ROOT).stdout
    # What is under way at a time takes up to half of that.
    assert int(said.splitlines()[-1]) * 1024 < 2**30
    [pushed] = (tmp_path / "to").rglob("model")
    assert pushed.stat().st_size == 2**30
