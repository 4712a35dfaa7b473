"""What a restore that is broken off leaves, and how it is gone on with.

The database is a stand-in: what counts here is what is asked of it, and in which order.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core import process
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import object_store
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import lock
from kfpkit.operations.backup import holding, objects, restore
from kfpkit.operations.backup.manifest import read
from kfpkit.operations.lock import Lock, Operation
from tests.support.fake_cluster import Cluster, cluster

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kfp.target import Target


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
def there(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """An installation that writes down what was done, in order."""
    there = cluster()
    done = there.state.ran

    def note(name: str) -> Any:
        return lambda *_, **__: done.append(name)

    for name in ("stop", "wait_for_prune"):
        monkeypatch.setattr(holding, name, note(name))

    def start(_: Target) -> list[str]:
        done.append("start")
        return ["ml-pipeline"]

    monkeypatch.setattr(holding, "start", start)
    monkeypatch.setattr(object_store, "opened", lambda _: nullcontext())
    monkeypatch.setattr(objects, "put", lambda *_: 0)
    return there


def prepare(there: Cluster, backup: Path, *, swapped: bool) -> None:
    database: Any = Database(there.state.ran, swapped=swapped)
    with lock.held(there, Operation.RESTORE) as mine:
        restore._prepare(there, database, backup, read(backup), mine)


def test_a_swap_that_was_broken_off_before_the_server_did_it(there: Cluster, backup: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare(there, backup, swapped=False)
    # What the server is at is waited for first, and nothing is left that tells of a restore.
    done = there.state.ran
    assert done[done.index("swap") :] == ["swap", "settle", "start"]
    assert done.index("stop") < done.index("wait_for_prune") < done.index("load")
    assert lock.read(there) is None


def test_a_note_that_was_broken_off_is_taken_away(
    there: Cluster, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Lock.note

    def broken_off(self: Lock, phase: str, **changes: str) -> None:
        real(self, phase, **changes)
        if changes.get("folder"):
            raise KeyboardInterrupt  # The server has taken it.

    monkeypatch.setattr(Lock, "note", broken_off)
    with pytest.raises(KeyboardInterrupt):
        prepare(there, backup, swapped=False)
    assert there.state.ran[-2:] == ["settle", "start"]
    assert lock.read(there) is None


def test_a_swap_that_the_server_did_although_it_was_broken_off(
    there: Cluster, backup: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare(there, backup, swapped=True)
    # The parts stay held, and the record stays.
    assert there.state.ran[-2:] == ["swap", "settle"]
    found = lock.read(there)
    assert found
    assert not found.alive
    assert found.command == f"make restore BACKUPS={backup}"
    assert found.record.folder == str(backup)


def leave(there: Cluster, folder: str) -> None:
    """Leave a restore that was broken off while it put its databases into use."""
    with suppress(KeyboardInterrupt), lock.held(there, Operation.RESTORE) as mine:
        again = lock.restore_command(folder)
        mine.note("puts the databases into use", folder=folder, backup="of it", again=again)
        raise KeyboardInterrupt


@pytest.mark.parametrize("swapped", [True, False])
def test_parts_are_started_again_unless_a_restore_must_go_on(
    there: Cluster, monkeypatch: pytest.MonkeyPatch, *, swapped: bool
) -> None:
    leave(there, "my backups/x")
    database = Database(there.state.ran, swapped=swapped)
    monkeypatch.setattr(restore, "reached", lambda _: nullcontext(database))
    if swapped:
        with pytest.raises(BadInputError, match="into use already") as refused:
            restore.resume(there)
        assert refused.value.do == "make restore BACKUPS='my backups/x' goes on with it"
        assert there.state.ran == ["settle"]
        assert lock.read(there)
    else:
        assert restore.resume(there) == ["ml-pipeline"]
        assert there.state.ran == ["settle", "start"]
        assert lock.read(there) is None


def test_without_a_restore_the_database_is_not_asked(there: Cluster) -> None:
    assert restore.resume(there) == ["ml-pipeline"]
    assert there.state.ran == ["start"]


@pytest.mark.parametrize("swapped", [True, False])
def test_a_restore_of_another_backup_is_in_the_way_once_it_is_in_use(
    there: Cluster, backup: Path, monkeypatch: pytest.MonkeyPatch, *, swapped: bool
) -> None:
    leave(there, "another")
    database = Database(there.state.ran, swapped=swapped)
    monkeypatch.setattr(restore, "reached", lambda _: nullcontext(database))
    monkeypatch.setattr(Database, "runs", lambda _: 1, raising=False)
    why = "the restore of another is not at its end" if swapped else "KFP is installed"
    monkeypatch.setattr(lifecycle, "install", lambda *_, **__: None)
    monkeypatch.setattr(restore, "_secrets", lambda *_: None)
    answers = iter([True, False])
    with pytest.raises(BadInputError, match=why):
        restore.restore(there, backup, confirm=lambda _: next(answers), timeout=1)
    # What was half done is as it was.
    found = lock.read(there)
    assert found
    assert (found.record.folder, found.command) == ("another", "make restore BACKUPS=another")


def test_data_are_asked_about_also_where_a_part_is_missing(
    there: Cluster, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = there.state.ran

    class Full(Database):
        def runs(self) -> int:
            return 7

    monkeypatch.setattr(Cluster, "has_namespace", lambda _: False)
    made: list[list[str]] = []
    monkeypatch.setattr(process, "run", lambda argv, **_: made.append(argv))
    monkeypatch.setattr(lifecycle, "install", lambda *_, **__: done.append("install"))
    monkeypatch.setattr(restore, "_secrets", lambda *_: None)
    monkeypatch.setattr(restore, "_swapped", lambda *_: False)
    database = Full(done, swapped=False)
    monkeypatch.setattr(restore, "reached", lambda _: nullcontext(database))
    asked: list[str] = []

    def answer(question: str) -> bool:
        asked.append(question)
        return "go out of use" not in question

    with pytest.raises(BadInputError, match="KFP is installed, and nothing else"):
        restore.restore(there, backup, confirm=answer, timeout=1)
    assert "Its 7 runs go out of use" in asked[1]
    assert done == ["install"]
    # The record needs its namespace first.
    assert made[0][-3:] == ["create", "namespace", "kubeflow"]
