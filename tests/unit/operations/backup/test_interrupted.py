"""What a restore that is broken off leaves, and how it is gone on with.

The database is a stand-in: what counts here is what is asked of it, and in which order.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core.errors import BadInputError
from kfpkit.kfp import object_store
from kfpkit.kfp.target import Target
from kfpkit.operations import installation as lifecycle
from kfpkit.operations.backup import objects, parts, restore
from kfpkit.operations.backup.manifest import NAME, digest, read

if TYPE_CHECKING:
    from pathlib import Path

TARGET = Target("kind-packages", "nowhere", "kubectl")


class Database:
    """A database whose swap is broken off before or after the server has done it."""

    def __init__(self, done: list[str], *, swapped: bool) -> None:
        self._done, self._swapped = done, swapped

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any) -> list[Any]:
            self._done.append(name)
            return []

        return call

    def swap(self) -> None:
        self._done.append("swap")
        raise KeyboardInterrupt

    def loaded(self) -> bool:
        # Until it was waited for, the server may still be at it.
        return "settle" not in self._done or not self._swapped


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in order."""
    done: list[str] = []

    def note(name: str) -> Any:
        return lambda *_, **__: done.append(name)

    for name in ("stop", "wait_for_prune"):
        monkeypatch.setattr(parts, name, note(name))

    def start(_: Target) -> list[str]:
        done.append("start")
        return ["ml-pipeline"]

    monkeypatch.setattr(parts, "start", start)
    monkeypatch.setattr(object_store, "opened", lambda _: nullcontext())
    monkeypatch.setattr(objects, "put", lambda *_: 0)
    monkeypatch.setattr(restore, "_note", note("note"))
    monkeypatch.setattr(Target, "run", lambda _, *words, **__: done.append(" ".join(words[:3])))
    return done


DELETE = f"delete configmap {restore.STATE}"


def test_a_swap_that_was_broken_off_before_the_server_did_it(done: list[str], backup: Path) -> None:
    database: Any = Database(done, swapped=False)
    with pytest.raises(KeyboardInterrupt):
        restore._prepare(TARGET, database, backup, read(backup))
    # What the server is at is waited for first, and nothing is left that tells of a restore.
    assert done[done.index("swap") :] == ["swap", "settle", DELETE, "start"]
    assert done.index("stop") < done.index("wait_for_prune") < done.index("load")


def test_a_note_that_was_broken_off_is_taken_away(
    done: list[str], backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(*_: object) -> None:
        done.append("note")
        raise KeyboardInterrupt  # The server may have taken it.

    monkeypatch.setattr(restore, "_note", broken_off)
    database: Any = Database(done, swapped=False)
    with pytest.raises(KeyboardInterrupt):
        restore._prepare(TARGET, database, backup, read(backup))
    assert done[done.index("note") :] == ["note", "settle", DELETE, "start"]


def test_a_swap_that_the_server_did_although_it_was_broken_off(
    done: list[str], backup: Path
) -> None:
    database: Any = Database(done, swapped=True)
    with pytest.raises(KeyboardInterrupt):
        restore._prepare(TARGET, database, backup, read(backup))
    # The parts stay held, and the note stays.
    assert done[done.index("swap") :] == ["swap", "settle"]


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch, backup: Path) -> dict[str, str]:
    state = {"backup": digest(backup / NAME).sha256, "folder": "my backups/x"}
    monkeypatch.setattr(restore, "under_way", lambda _: state)
    return state


@pytest.mark.usefixtures("noted")
@pytest.mark.parametrize("swapped", [True, False])
def test_parts_are_started_again_unless_a_restore_must_go_on(
    done: list[str], monkeypatch: pytest.MonkeyPatch, *, swapped: bool
) -> None:
    database = Database(done, swapped=swapped)
    monkeypatch.setattr(restore, "reached", lambda _: nullcontext(database))
    if swapped:
        with pytest.raises(BadInputError, match="into use already") as refused:
            restore.resume(TARGET)
        assert refused.value.do == "make restore BACKUPS='my backups/x' goes on with it"
        assert done == ["settle"]
    else:
        assert restore.resume(TARGET) == ["ml-pipeline"]
        assert done == ["settle", DELETE, "start"]


def test_without_a_restore_the_database_is_not_asked(
    done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "under_way", lambda _: None)
    assert restore.resume(TARGET) == ["ml-pipeline"]
    assert done == ["start"]
    restore.require_none_of_another(TARGET)


def test_a_restore_of_another_backup_is_in_the_way(noted: dict[str, str], backup: Path) -> None:
    restore.require_none_of_another(TARGET, backup)
    for folder in (None, backup):
        noted["backup"] = "another"
        with pytest.raises(BadInputError, match="is not at its end"):
            restore.require_none_of_another(TARGET, folder)


def test_data_are_asked_about_also_where_a_part_is_missing(
    done: list[str], backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Database):
        def runs(self) -> int:
            return 7

    monkeypatch.setattr(Target, "has_namespace", lambda _: False)
    monkeypatch.setattr(lifecycle, "install", lambda *_, **__: done.append("install"))
    monkeypatch.setattr(restore, "_secrets", lambda *_: None)
    monkeypatch.setattr(restore, "_swapped", lambda *_: False)
    database = Full(done, swapped=False)
    monkeypatch.setattr(restore, "reached", lambda _: nullcontext(database))
    asked: list[str] = []

    def answer(question: str) -> bool:
        asked.append(question)
        return "go out of use" not in question

    with pytest.raises(BadInputError, match="the parts are installed, and nothing else"):
        restore.restore(TARGET, backup, confirm=answer, timeout=1)
    assert "Its 7 runs go out of use" in asked[1]
    assert done == ["install"]
