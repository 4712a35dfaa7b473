"""Which drivers run, how often, and what becomes of their nodes."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests

from kfpkit.core.waiting import wait_for
from kfpkit.kfp.workflow import ANNOTATION
from kfpkit.warm import board, drive
from kfpkit.warm.board import Board
from kfpkit.warm.drive import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from kfpkit.warm.drive import Job

DRIVEN = Outcome({"condition": "true"}, log=b"said")
AWAY = Outcome(reason="metadata: refused", away="metadata")


def workflow(phase: str = "Running", *, uid: str = "u", **spec: Any) -> dict[str, Any]:
    node = {
        "id": "w-1",
        "displayName": "a-driver",
        "type": "Suspend",
        "phase": phase,
        "templateName": "system-dag-driver",
    }
    note: dict[str, Any] = {"system-dag-driver": {"args": [], "env": {}, "outputs": {}}}
    return {
        "metadata": {"name": "w", "uid": uid, "annotations": {ANNOTATION: json.dumps(note)}},
        "spec": spec,
        "status": {"nodes": {"w-1": node, "w-2": {**node, "id": "w-2", "templateName": "root"}}},
    }


class Lease:
    held = True


class Writer:
    def __init__(self) -> None:
        self.changes: list[dict[str, Any]] = []
        self.refusals = 0
        self.touched = 0

    def write(self, job: Job, change: dict[str, Any]) -> None:
        assert job.node["id"] == "w-1"
        if self.refusals:
            self.refusals -= 1
            raise requests.ConnectionError("refused")
        self.changes.append(change)

    def touch(self, job: Job) -> None:
        assert job.name == "w"
        self.touched += 1


class Logs:
    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def place(self, job: Job) -> dict[str, Any]:
        return {"s3": {"key": job.pod}}

    def keep(self, _job: Job, text: bytes) -> str:
        self.kept.append(text)
        return ""


class Place:
    """A board with all around it, and what its drivers are to come to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, outage: float) -> None:
        self.lease, self.writer, self.logs = Lease(), Writer(), Logs()
        self.board = Board(self.lease, self.writer, self.logs, outage)  # type: ignore[arg-type]
        self.outcomes: list[Outcome | Callable[[Callable[[], str]], Outcome]] = []
        self.started = 0
        monkeypatch.setattr(drive, "run", self._run)
        monkeypatch.setattr(board, "FIRST", 0.01)

    def _run(self, _job: Job, _port: int, hindrance: Callable[[], str]) -> Outcome:
        self.started += 1
        outcome = self.outcomes.pop(0)
        return outcome(hindrance) if callable(outcome) else outcome

    def settle(self) -> None:
        """Wait until nothing is left to do."""

        def state() -> str | None:
            self.board.start_due()
            busy = self.board.waiting or not self.board.idle
            return f"{self.started} started, {self.board.waiting} waiting" if busy else None

        wait_for("the board", state, timeout=10, interval=0.01)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(monkeypatch, 60)


def test_a_driver_runs_once_however_often_its_node_is_seen(place: Place) -> None:
    place.outcomes = [DRIVEN]
    for _ in range(5):
        place.board.see(workflow())
    place.settle()
    place.board.see(workflow())  # an event from before the end was written
    place.settle()
    assert place.started == 1
    (change,) = place.writer.changes
    assert change["phase"] == "Succeeded"
    assert change["outputs"]["artifacts"][0]["s3"]["key"] == "w-system-dag-driver-1"


def test_a_node_that_is_suspended_again_is_driven_again(place: Place) -> None:
    """As after a retry of the run, which forgets the nodes that failed."""
    place.outcomes = [Outcome(reason="no"), DRIVEN]
    place.board.see(workflow())
    place.settle()
    place.board.see(workflow("Failed"))
    place.board.see(workflow())
    place.settle()
    assert [change["phase"] for change in place.writer.changes] == ["Failed", "Succeeded"]
    assert place.logs.kept[0] == b""


def test_a_part_that_is_away_is_waited_for_and_named(place: Place) -> None:
    place.outcomes = [AWAY, AWAY, DRIVEN]
    place.board.see(workflow())
    place.settle()
    first, second, last = place.writer.changes
    assert first["message"].startswith("waiting for metadata: refused (tried 1 time since ")
    assert "tried 2 times" in second["message"]
    assert "phase" not in second
    assert last["phase"] == "Succeeded"
    assert last["message"] == ""


def test_an_outage_that_lasts_too_long_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(monkeypatch, 0)
    place.outcomes = [AWAY]
    place.board.see(workflow())
    place.settle()
    assert place.writer.changes[0]["phase"] == "Failed"
    assert "refused (tried 1 time since" in place.writer.changes[0]["message"]


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (lambda p: p.board.see(workflow("Failed")), "the run"),
        (lambda p: p.board.see(workflow(activeDeadlineSeconds=0)), "the run"),
        (lambda p: p.board.see(workflow(shutdown="Terminate")), "the run"),
        (lambda p: p.board.forget("u"), "the run"),
        (lambda p: p.board.keep_only({"v"}), "the run"),
        (lambda p: setattr(p.lease, "held", False), "the lease"),
    ],
)
def test_a_driver_that_nobody_waits_for_ends_and_writes_nothing(
    place: Place, end: Callable[[Place], None], why: str
) -> None:
    begun, ended = threading.Event(), threading.Event()
    said: list[str] = []

    def run(hindrance: Callable[[], str]) -> Outcome:
        assert hindrance() == ""
        begun.set()
        assert ended.wait(10)
        said.append(hindrance())
        return Outcome(reason="ended", away="it")

    place.outcomes = [run]
    place.board.see(workflow())
    assert begun.wait(10)
    end(place)
    ended.set()
    wait_for("its end", lambda: None if place.board.idle else "at work", timeout=10, interval=0.01)
    assert said[0].startswith(why)
    assert place.writer.changes == []


def test_a_workflow_that_the_webhook_did_not_change_is_none_of_its_business(place: Place) -> None:
    item = workflow()
    del item["metadata"]["annotations"]
    place.board.see(item)
    place.settle()
    assert place.started == 0


def test_a_node_is_not_driven_twice_at_once(place: Place) -> None:
    begun, ended = threading.Event(), threading.Event()

    def run(_hindrance: Callable[[], str]) -> Outcome:
        begun.set()
        assert ended.wait(10)
        return DRIVEN

    place.outcomes = [run, DRIVEN]
    place.board.see(workflow())
    assert begun.wait(10)
    place.board.forget("u")
    place.board.see(workflow())
    place.board.start_due()
    assert place.started == 1
    ended.set()
    place.settle()
    assert place.started == 2
    assert len(place.writer.changes) == 1


def test_a_lease_that_was_away_for_a_moment_leaves_no_node_behind(place: Place) -> None:
    def run(hindrance: Callable[[], str]) -> Outcome:
        place.lease.held = False
        assert hindrance().startswith("the lease")
        return Outcome(reason="ended", away="the lease")

    place.outcomes = [run, DRIVEN]
    place.board.see(workflow())
    wait_for("its end", lambda: None if place.started and place.board.idle else "-", timeout=10)
    place.lease.held = True
    place.settle()
    assert [change.get("phase") for change in place.writer.changes] == ["Succeeded"]


def test_an_exit_handler_is_driven_though_its_run_is_ended(place: Place) -> None:
    item = workflow(activeDeadlineSeconds=0)
    item["status"]["nodes"]["w-1"]["boundaryID"] = "w-3"
    item["status"]["nodes"]["w-3"] = {"name": "w.root.exit-handler-1.onExit", "type": "DAG"}
    place.outcomes = [DRIVEN]
    place.board.see(item)
    place.settle()
    assert place.writer.changes[0]["phase"] == "Succeeded"


def test_what_the_proxy_knows_counts_though_the_driver_says_it_otherwise(place: Place) -> None:
    proxies = [place.board._proxies.get() for _ in range(board.SLOTS)]

    def run(_hindrance: Callable[[], str]) -> Outcome:
        for proxy in proxies:
            proxy.away = "metadata: gone"
        return Outcome(reason="KFP driver: something else")

    for proxy in proxies:
        place.board._proxies.put(proxy)
    place.outcomes = [run, DRIVEN]
    place.board.see(workflow())
    place.settle()
    assert place.writer.changes[0]["message"].startswith("waiting for metadata: ")
    assert place.writer.changes[-1]["phase"] == "Succeeded"


def test_trouble_of_its_own_ends_a_node_only_after_the_time_for_an_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(_hindrance: Callable[[], str]) -> Outcome:
        raise ValueError("embedded null byte")

    place = Place(monkeypatch, 0)
    place.outcomes = [run]
    place.board.see(workflow())
    place.settle()
    assert place.writer.changes[0]["phase"] == "Failed"
    assert "embedded null byte" in place.writer.changes[0]["message"]


def test_an_end_that_cannot_be_written_is_written_later_and_its_driver_runs_once(
    place: Place,
) -> None:
    place.outcomes = [DRIVEN]
    place.writer.refusals = 3
    place.board.see(workflow())
    place.settle()
    assert place.started == 1
    assert [change["phase"] for change in place.writer.changes] == ["Succeeded"]
    place.board._keeping.shutdown()
    assert place.logs.kept == [b"said"]


def test_a_store_that_is_silent_holds_up_neither_an_end_nor_a_touch(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "SOON", 0.01)
    monkeypatch.setattr(board, "TOUCHES", (0.0,))
    answered = threading.Event()
    monkeypatch.setattr(place.logs, "keep", lambda *_: answered.wait(60) and "")
    place.outcomes = [Outcome(reason="it is broken", log=b"said")]
    place.board.see(workflow())
    place.settle()
    assert place.writer.changes[0]["phase"] == "Failed"

    def touched() -> str | None:
        place.board.start_due()
        return None if place.writer.touched else "not yet"

    try:
        wait_for("it to be touched", touched, timeout=10, interval=0.01)
    finally:
        answered.set()


def test_a_workflow_is_touched_after_its_drivers_until_it_is_gone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Argo's controller may have missed the last end."""
    monkeypatch.setattr(board, "TOUCHES", (0.0, 0.01, 9999.0))
    place.outcomes = [DRIVEN]
    place.board.see(workflow())
    place.settle()

    def touched() -> str | None:
        place.board.start_due()
        return None if place.writer.touched == 2 else str(place.writer.touched)

    wait_for("it to be touched", touched, timeout=10, interval=0.01)
    assert place.board._touched
    place.board.forget("u")
    assert not place.board._touched
