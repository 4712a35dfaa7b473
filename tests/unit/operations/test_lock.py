"""One operation at a time: who has to wait for whom, and what a killed one leaves."""

from __future__ import annotations

import itertools
import json
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core import process, signals
from kfpkit.core.durations import DAY
from kfpkit.core.errors import CommandError, KitError, WaitTimeoutError
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import secrets as values
from kfpkit.operations import installation, lock, rotate
from kfpkit.operations.backup import create, holding, restore
from kfpkit.operations.lock import HELD, BusyError, Operation, Record
from kfpkit.operations.prune import run as pruning
from kfpkit.operations.prune.plan import Rule
from kfpkit.operations.upgrade import phases
from tests.support.fake_cluster import REFUSED, Cluster, cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


AGAIN = {
    Operation.BACKUP: "make backup-resume",
    Operation.RESUME: "make backup-resume",
    Operation.RESTORE: "make restore BACKUPS=x",
    Operation.ROTATE: "make rotate-secrets",
    Operation.UPGRADE: "make upgrade",
    Operation.ROLLBACK: "make rollback",
}

#: Who goes on with what another one has left half done; the pages of docs/operate say it.
GOES_ON = {
    (Operation.BACKUP, Operation.BACKUP),
    (Operation.BACKUP, Operation.RESUME),
    (Operation.BACKUP, Operation.RESTORE),
    (Operation.RESUME, Operation.BACKUP),
    (Operation.RESUME, Operation.RESUME),
    (Operation.RESUME, Operation.RESTORE),
    (Operation.RESTORE, Operation.RESTORE),
    (Operation.RESTORE, Operation.RESUME),
    (Operation.ROTATE, Operation.ROTATE),
    (Operation.UPGRADE, Operation.UPGRADE),
    (Operation.UPGRADE, Operation.ROLLBACK),
    (Operation.ROLLBACK, Operation.ROLLBACK),
}


PAIRS = list(itertools.product(Operation, Operation))


class BegunError(Exception):
    """An operation got past the lock."""


def no(_: str) -> bool:
    raise BegunError


COMMANDS: dict[Operation, Callable[[Cluster, Path], object]] = {
    Operation.INSTALL: lambda there, _: installation.install(there, timeout=1),
    Operation.UNINSTALL: lambda there, _: installation.uninstall(there, delete_data=False),
    Operation.DELETE: lambda there, _: installation.uninstall(there, delete_data=True),
    Operation.ROTATE: lambda there, _: rotate.rotate(there, timeout=1, despite_runs=False),
    Operation.BACKUP: lambda there, folder: create.make(there, folder.parent, wait=0),
    Operation.RESUME: lambda there, _: restore.resume(there),
    Operation.RESTORE: lambda there, folder: restore.restore(
        there, folder, confirm=lambda _: True, timeout=1
    ),
    Operation.PRUNE: lambda there, _: pruning.prune(there, Rule(DAY), apply=True, confirm=no),
    Operation.UPGRADE: lambda there, folder: phases.upgrade(
        there, "", folder.parent, confirm=no, wait=0, timeout=1
    ),
    Operation.ROLLBACK: lambda there, folder: phases.rollback(
        there, folder.parent, confirm=no, timeout=1
    ),
}


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """An installation in which every operation ends as soon as it got past the lock."""

    def begun(*_: Any, **__: Any) -> Any:
        raise BegunError

    monkeypatch.setattr(values, "missing", lambda _: {})
    monkeypatch.setattr(installation, "_load_images", lambda _: None)
    monkeypatch.setattr(installation, "components", lambda _: [])
    for module, name in (
        (installation, "_install"),
        (installation, "_uninstall"),
        (installation, "require_ready"),
        (restore, "reached"),
        (restore, "_secrets"),
        (holding, "start"),
        (rotate, "_rotate"),
        (phases, "_begun"),
        (phases, "_take_back"),
    ):
        monkeypatch.setattr(module, name, begun)
    monkeypatch.setattr(lock, "PRUNING", 0.0)
    return cluster()


def leave(there: Cluster, operation: Operation, *, again: bool = True) -> Record:
    """Let somebody begin an operation on another machine, and leave something half done."""
    half = AGAIN.get(operation, "") if again else ""
    record = Record(operation, "ann@laptop 1a", "copies", "2026-11-28T11:59:00Z", half, beat="7")
    data = {**record.__dict__, "operation": str(operation)}
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": lock.NAME}, "data": data}
    there.run("apply", "--filename", "-", stdin=json.dumps(item))
    return record


def test_every_operation_has_a_command() -> None:
    assert COMMANDS.keys() == set(Operation)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_the_second_operation_is_refused_while_the_first_is_at_work(
    there: Cluster, backup: Path, first: Operation, second: Operation
) -> None:
    record = leave(there, first)
    before = there.state.configmaps[lock.NAME]
    # The removal of old runs is waited for, here for no time.
    waits = first is Operation.PRUNE is not second
    with pytest.raises(WaitTimeoutError if waits else BusyError) as refused:
        COMMANDS[second](there, backup)
    assert f"{first} is under way: begun {record.since} by ann@laptop 1a" in str(refused.value)
    if not waits or second is not Operation.PRUNE:
        assert there.state.configmaps[lock.NAME] == before
    assert there.state.ran == []


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_what_a_killed_operation_left_is_gone_on_with_or_taken_back(
    there: Cluster, backup: Path, first: Operation, second: Operation
) -> None:
    leave(there, first)
    there.state.clock += int(lock.GONE)
    again = AGAIN.get(first, "")
    if not again or second is Operation.DELETE or (first, second) in GOES_ON:
        with pytest.raises(BegunError):
            COMMANDS[second](there, backup)
        return
    with pytest.raises(BusyError, match=f"{first} is not at its end: begun") as refused:
        COMMANDS[second](there, backup)
    assert f"{again} goes on with it" in str(refused.value)
    assert there.state.ran == []


@pytest.mark.parametrize("operation", Operation)
def test_nothing_is_left_of_an_operation_that_failed_before_it_did_anything(
    there: Cluster, backup: Path, operation: Operation
) -> None:
    with pytest.raises(BegunError):
        COMMANDS[operation](there, backup)
    assert there.state.configmaps == {}


def test_an_operation_is_there_from_its_beginning_to_its_end() -> None:
    there = cluster()
    assert lock.read(there) is None
    with lock.held(there, Operation.BACKUP) as mine:
        found = lock.read(there)
        assert found
        assert found.alive
        assert found.record == mine.record
        mine.note("copies artifacts", again="make backup-resume")
        with pytest.raises(BusyError, match=r"backup is under way: .*, at: copies artifacts"):
            lock._take(there, Operation.PRUNE)
    assert lock.read(there) is None


def test_what_fails_half_done_is_known_at_once_not_to_go_on() -> None:
    there = cluster()
    with suppress(BegunError), lock.held(there, Operation.UPGRADE) as mine:
        mine.note("migrate", again="make upgrade", back="make rollback")
        raise BegunError
    found = lock.read(there)
    assert found
    assert not found.alive
    assert found.do == "make upgrade goes on with it; make rollback takes it back"
    # One who takes it over and does nothing leaves it as it was.
    with pytest.raises(BegunError), lock.held(there, Operation.ROLLBACK):
        raise BegunError
    after = lock.read(there)
    assert after
    assert (after.record.operation, after.record.again, after.alive) == (
        Operation.UPGRADE,
        "make upgrade",
        False,
    )


def test_a_part_of_an_operation_is_held_by_it_and_leaves_its_commands() -> None:
    there = cluster()
    with lock.held(there, Operation.UPGRADE) as mine:
        mine.note("backup", again="make upgrade", back="make rollback")
        with lock.held(cluster_of(there), Operation.BACKUP) as inner:
            inner.note("stopped", again="make backup-resume", folder="x")
            assert inner.inner
        found = lock.read(there)
        assert found
        assert found.record.again == mine.record.again == "make upgrade"
        assert (found.record.operation, found.record.folder) == (Operation.UPGRADE, "x")
        assert found.alive


def cluster_of(there: Cluster) -> Cluster:
    """Return the same cluster as another target, as that of what was installed before."""
    other = cluster()
    object.__setattr__(other, "state", there.state)
    return other


def test_a_holder_says_that_it_lives_and_by_the_clock_of_the_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.01)
    there = cluster()
    with lock.held(there, Operation.ROTATE):
        there.state.clock += 10 * int(lock.GONE)
        version = there.state.configmaps[lock.NAME]["metadata"]["resourceVersion"]

        def silent() -> str | None:
            metadata = there.state.configmaps[lock.NAME]["metadata"]
            return "none" if metadata["resourceVersion"] == version else None

        wait_for("a sign of life", silent, timeout=30)
        found = lock.read(there)
        assert found
        assert found.alive


@pytest.fixture
def in_background() -> Iterator[None]:
    """The signals of a command that a script has in the background."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals.unwind()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("in_background")
def test_one_that_was_away_and_was_taken_over_ends_and_leaves_the_other_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.01)
    there = cluster()

    def work() -> None:
        with lock.held(there, Operation.BACKUP):
            leave(there, Operation.RESTORE)
            threading.Event().wait(60)  # Until the thread that finds the other one ends it.

    with pytest.raises(KitError, match=r"backup gave no sign of life .* restore is under way"):
        work()
    found = lock.read(there)
    assert found
    assert found.record.operation is Operation.RESTORE


def test_an_error_is_told_although_the_cluster_is_away_when_the_record_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Cluster.run

    def run(there: Cluster, *arguments: str, check: bool = True, **more: Any) -> process.Result:
        if arguments[0] != "delete":
            return real(there, *arguments, check=check, **more)
        if check:
            raise CommandError("kubectl delete", 1, "no answer")
        return REFUSED

    monkeypatch.setattr(Cluster, "run", run)
    with pytest.raises(BegunError), lock.held(cluster(), Operation.INSTALL):
        raise BegunError
    with pytest.raises(CommandError, match="no answer"), lock.held(cluster(), Operation.INSTALL):
        pass


def test_of_two_that_take_over_at_once_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    there = cluster()
    leave(there, Operation.RESTORE)
    there.state.clock += int(lock.GONE)
    before = lock.require(there, Operation.RESTORE)
    lock._take(there, Operation.RESTORE)
    answers = iter([before])
    real = lock.require
    monkeypatch.setattr(lock, "require", lambda *a: next(answers, None) or real(*a))
    with pytest.raises(BusyError, match="restore is under way"):
        lock._take(there, Operation.RESTORE)


def journal(phase: str) -> dict[str, str]:
    known = {"source": "2.14.3", "to": "2.17.0", "pods": {}, "token": "", "backup": ""}
    return {"journal": json.dumps({**known, "phase": phase})}


RESTORING = {"folder": "my backups/x", "backup": "0"}


@pytest.mark.parametrize(
    ("notes", "secrets", "annotations", "operation", "again"),
    [
        ({"kfpkit-upgrade": journal("drain")}, [], {HELD: "1"}, "upgrade", "make upgrade"),
        ({"kfpkit-upgrade": journal("rollback")}, [], {}, "rollback", "make rollback"),
        (
            {"kfpkit-upgrade": journal("done"), "kfpkit-restore": RESTORING},
            [],
            {HELD: "1"},
            "restore",
            "make restore BACKUPS='my backups/x'",
        ),
        ({}, [lock.PENDING], {}, "rotate-secrets", "make rotate-secrets"),
        ({}, [], {HELD: "1"}, "backup", "make backup-resume"),
        ({"kfpkit-upgrade": journal("done")}, [], {}, "", ""),
    ],
)
def test_what_an_earlier_kit_left_is_read_as_well(
    notes: dict[str, dict[str, str]],
    secrets: list[str],
    annotations: dict[str, str],
    operation: str,
    again: str,
) -> None:
    there = cluster()
    there.state.configmaps = {
        name: {"metadata": {"name": name}, "data": data} for name, data in notes.items()
    }
    there.state.secrets = secrets
    there.state.deployments = [{"metadata": {"name": "a", "annotations": annotations}}]
    found = lock.read(there)
    if not operation:
        assert found is None
        return
    assert found
    assert (found.record.operation, found.command, found.alive) == (operation, again, False)
    with pytest.raises(BusyError, match=f"{operation} is not at its end: begun by an earlier kit"):
        lock.require(there, Operation.INSTALL)
    taken = lock._take(there, found.record.operation)
    assert taken.record.folder == ("my backups/x" if operation == "restore" else "")
    assert "kfpkit-restore" not in there.state.configmaps
