"""The answers of the database as facts."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import obstore
import pytest
from obstore.store import MemoryStore

from kfpkit.core.durations import DAY
from kfpkit.kfp import object_store
from kfpkit.kfp.database import Database, UnfinishedRun
from kfpkit.kfp.workflow import LOGS, Workflow
from kfpkit.kube import forward
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import lock
from kfpkit.operations.lock import BusyError, Operation
from kfpkit.operations.prune import run
from kfpkit.operations.prune.plan import ArtifactRow, Folder, Rule, RunRow
from kfpkit.operations.prune.run import facts_of
from tests.support.fake_cluster import cluster
from tests.support.outside import Outside, target
from tests.support.recorded_runs import Object, node, workflow
from tests.support.warm import warm

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS: list[list[Any]] = [
    ["run", "1", "first", "penguins-x", "FAILED", 0, "lab", "", 1_700_000_000],
    ["run", "2", "second", "penguins-y", "", 1, "lab", "uploaded", 1_700_000_000],
    ["cache", "1", 3],
    ["folder", "1", "minio://mlpipeline/v2/artifacts/penguins/1", 1_600_000_000],
    ["pipeline", "1", "penguins"],
    ["pipeline", "2", "penguins"],
    ["artifact", 7, "minio://mlpipeline/v2/artifacts/penguins/1/train/x/model", 0],
    ["artifact", 8, "minio://mlpipeline/v2/artifacts/penguins/1/train/x/card", 1],
    ["use", 7, "1"],
    ["use", 7, "2"],
]


def test_the_answers_become_facts() -> None:
    facts = facts_of(ROWS, "mlpipeline", {"key": 5})
    assert facts.runs == {
        "1": RunRow("1", "first", "penguins-x", "FAILED", False, "lab", "penguins", 1_700_000_000),
        "2": RunRow("2", "second", "penguins-y", "", True, "lab", "uploaded", 1_700_000_000),
    }
    assert facts.cached == {"1": 3}
    assert facts.folders["1"] == Folder("minio://mlpipeline/v2/artifacts/penguins/1", 1_600_000_000)
    assert facts.artifacts[0].runs == {"1", "2"}
    assert facts.artifacts[1] == ArtifactRow(8, ROWS[7][2], True, frozenset())
    assert facts.objects == {"key": 5}


def test_an_empty_installation_has_no_facts() -> None:
    assert not facts_of([], "mlpipeline", {}).runs


def test_a_dry_run_asks_no_database_outside_the_cluster_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kfpkit.core.process._dry_run", True)
    monkeypatch.setattr(lifecycle, "require_ready", lambda _: None)
    assert run.prune(target(), Rule(DAY), apply=False, confirm=lambda _: True).empty
    said = " ".join(capsys.readouterr().err.split())
    assert "a dry run makes no pod that asks a database outside the cluster: what would go" in said


def test_what_began_while_the_question_was_open_is_in_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifecycle, "require_ready", lambda _: None)
    monkeypatch.setattr(object_store, "opened", lambda _: nullcontext(MemoryStore()))
    monkeypatch.setattr(Database, "rows", lambda *_: ROWS)
    there = cluster()

    def confirm(_: str) -> bool:
        lock._take(there, Operation.BACKUP)
        return True

    with pytest.raises(BusyError, match="backup is under way"):
        run.prune(there, Rule(DAY), apply=True, confirm=confirm)
    assert there.state.ran == []


@pytest.mark.parametrize(("inside", "alive"), [(True, True), (True, False), (False, True)])
def test_the_job_of_the_night_skips_it_while_another_operation_is_at_work(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    inside: bool,
    alive: bool,
) -> None:
    there = cluster()
    monkeypatch.setattr(type(there), "inside", inside)
    lock._take(there, Operation.UPGRADE).note("migrate", again="make upgrade")
    there.state.clock += 0 if alive else int(lock.GONE)
    skipped = inside and alive
    with nullcontext() if skipped else pytest.raises(BusyError, match="upgrade is"):
        assert run.prune(there, Rule(DAY), apply=True, confirm=lambda _: True).empty
    if skipped:
        said = " ".join(capsys.readouterr().err.split())
        assert "upgrade is under way" in said
        assert "nothing is removed this time" in said


def test_a_run_that_was_started_again_keeps_its_logs_and_counts_as_one_that_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = MemoryStore()
    driver = f"{LOGS}{{0}}/{{0}}-system-container-driver-1/main.log"
    for name in ("penguins-x", "penguins-y"):
        obstore.put(store, driver.format(name), b"said")
    both = [[*row[:4], "FAILED", *row[5:]] if row[0] == "run" else row for row in ROWS]
    removed: list[str] = []
    monkeypatch.setattr(lifecycle, "require_ready", lambda _: None)
    monkeypatch.setattr(object_store, "opened", lambda _: nullcontext(store))
    monkeypatch.setattr(Database, "rows", lambda *_: both)
    monkeypatch.setattr(Database, "execute", lambda *_: None)
    monkeypatch.setattr(Database, "unfinished", lambda _: [UnfinishedRun("1", "first", "RUNNING")])
    monkeypatch.setattr(run, "_delete", lambda _, gone: removed.append(gone.id))
    monkeypatch.setattr(forward, "opened", lambda *_: nullcontext("localhost:1"))
    done = run.prune(cluster(), Rule(DAY), apply=True, confirm=lambda _: True)
    assert removed == ["2"]
    (left,) = (one["path"] for page in store.list() for one in page)
    assert left == driver.format("penguins-x")
    assert [one.id for one in done.runs] == ["2"]
    assert list(done.logs) == [driver.format("penguins-y")]
    said = " ".join(capsys.readouterr().err.split())
    assert "first (1) was started again: it stays" in said
    assert "removed 1 runs" in said


@pytest.mark.parametrize("form", [lambda item: item, warm], ids=["driver pods", "warm driver"])
def test_the_drivers_that_are_at_work_are_waited_for_and_no_later_ones(
    monkeypatch: pytest.MonkeyPatch, form: Callable[[Object], Object]
) -> None:
    def looked(*numbers: int) -> list[Object]:
        """Return what runs while drivers of these numbers do, in a pod or without."""
        nodes = [node(number, f"step{number}-driver", "Running") for number in numbers]
        seen = Workflow(form(workflow(*nodes)))
        pods = [{"metadata": {"uid": n.id, "name": n.pod}} for n in seen.nodes if n.pod]
        return [form(workflow(*nodes)), *pods]

    looks = iter([looked(1, 2), looked(1, 3), looked(3)])
    now: list[Object] = []

    def items(_: object, kinds: list[str], *selector: str) -> list[Object]:
        assert "completed!=true" in selector[1] or kinds == ["pods"]
        if kinds == ["pods"]:
            now[:] = next(looks)
        return [item for item in now if ("spec" in item) != (kinds == ["pods"])]

    monkeypatch.setattr(Outside, "items", items)
    monkeypatch.setattr("kfpkit.core.waiting.time.sleep", lambda _: None)
    run._wait_for_drivers(target())
    assert list(looks) == []
