"""How a run on a cluster ends: from a Workflow and an API that are not there, but say something."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core.errors import CommandError, KitError
from kfpkit.kfp import api, pipelines
from kfpkit.kfp.metadata import Execution, Home
from kfpkit.kfp.run import Run, State, Task
from kfpkit.kfp.target import Target
from kfpkit.kube import watch
from kfpkit.kube.health import PART, RUN
from kfpkit.runs import remote, results
from kfpkit.runs.local.run import InterruptedRun
from kfpkit.runs.place import Place
from tests.support.recorded_runs import runner
from tests.support.workflows import START, at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: With driver pods, and as with the warm driver.
pytestmark = pytest.mark.usefixtures("either_driver")

DRIVER = "system-container-driver"
IMPL = "system-container-impl"


def ended(state: State, **tasks: State) -> Run:
    """Return a run of that end whose tasks are in these states, `b` after `a`, `c` after both."""
    after: dict[str, list[str]] = {"b": ["a"], "c": ["a", "b"]}
    rows = [Task(name, name, at, depends_on=after.get(name, [])) for name, at in tasks.items()]
    return Run("1", "demo", "v", "kind", state, START, finished=at(9), tasks=rows)


def states(run: Run) -> list[State]:
    return [row.state for row in run.rows]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param(
            ended(State.SUCCEEDED, a=State.SUCCEEDED, b=State.PENDING, c=State.NOT_RUN),
            [State.SUCCEEDED, State.SKIPPED, State.SKIPPED],
            id="succeeded: what did not run was left out",
        ),
        pytest.param(
            ended(State.SUCCEEDED, a=State.RUNNING),
            [State.SUCCEEDED],
            id="succeeded: what was last seen running succeeded",
        ),
        pytest.param(
            ended(State.FAILED, a=State.FAILED, b=State.NOT_RUN, x=State.RUNNING, y=State.PENDING),
            [State.FAILED, State.NOT_RUN, State.FAILED, State.NOT_RUN],
            id="failed",
        ),
        pytest.param(
            ended(State.FAILED, a=State.SKIPPED, b=State.NOT_RUN, c=State.NOT_RUN, x=State.FAILED),
            [State.SKIPPED, State.SKIPPED, State.SKIPPED, State.FAILED],
            id="failed elsewhere: a task after a branch that was not taken is skipped",
        ),
        pytest.param(
            ended(State.FAILED, a=State.SKIPPED, b=State.FAILED, c=State.NOT_RUN),
            [State.SKIPPED, State.FAILED, State.NOT_RUN],
            id="failed: after a failure and a branch that was not taken it is not run",
        ),
        pytest.param(
            ended(State.CANCELLED, a=State.FAILED, b=State.RUNNING, c=State.PENDING),
            [State.CANCELLED, State.CANCELLED, State.NOT_RUN],
            id="cancelled",
        ),
    ],
)
def test_rows_end_with_their_run(run: Run, expected: list[State]) -> None:
    remote.settle(run)
    assert states(run) == expected


def test_a_row_is_left_out_with_its_own_round() -> None:
    before = Task("loop/a", "a")
    before.rounds = [Task("loop[0]/a", "a", State.SKIPPED), Task("loop[1]/a", "a", State.FAILED)]
    after = Task("loop/b", "b", depends_on=["loop/a"])
    after.rounds = [Task(f"loop[{n}]/b", "b", State.NOT_RUN, depends_on=["loop/a"]) for n in (0, 1)]
    run = Run("1", "demo", "v", "kind", State.FAILED, START, tasks=[before, after])
    remote.settle(run)
    assert [row.state for row in after.rounds] == [State.SKIPPED, State.NOT_RUN]
    assert after.state is State.NOT_RUN


@pytest.mark.parametrize(
    ("run", "phase", "said"),
    [
        (ended(State.SUCCEEDED, a=State.SUCCEEDED), "Succeeded", ""),
        (ended(State.SUCCEEDED, a=State.SUCCEEDED), "", ""),
        (ended(State.FAILED, a=State.FAILED), "Failed", ""),
        (ended(State.CANCELLED, a=State.CANCELLED), "Failed", ""),
        (
            ended(State.SUCCEEDED, a=State.FAILED, b=State.SUCCEEDED),
            "Succeeded",
            "KFP says that the run succeeded, but task a failed",
        ),
        (
            ended(State.SUCCEEDED, a=State.SUCCEEDED),
            "Error",
            "KFP says that the run succeeded, but its Workflow is Error",
        ),
        (
            ended(State.FAILED, a=State.SUCCEEDED),
            "Succeeded",
            "KFP says that the run failed, but its Workflow succeeded",
        ),
    ],
)
def test_sources_that_disagree_are_said(run: Run, phase: str, said: str) -> None:
    assert remote.disagreement(run, phase) == said


class Cluster(Target):
    """A cluster with one Workflow, or none."""

    workflows: Sequence[dict[str, Any]] = ()
    asked = 0

    def items(self, kinds: Any, *selector: str) -> list[dict[str, Any]]:
        del kinds, selector
        Cluster.asked += 1
        return list(self.workflows)


def demo(nodes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a Workflow with these nodes."""
    status = {"phase": "Succeeded", "nodes": {node["name"]: node for node in nodes}}
    return {"metadata": {"name": "demo"}, "status": status}


class Told:
    """A watch that tells of one Workflow again and again, or of each of some once."""

    def __init__(self, told: dict[str, Any] | list[dict[str, Any]] | None) -> None:
        self.changed = threading.Event()
        self._told = told

    @property
    def object(self) -> dict[str, Any] | None:
        return self._told.pop(0) if isinstance(self._told, list) else self._told


def follow(
    monkeypatch: pytest.MonkeyPatch,
    says: str | list[str],
    nodes: Sequence[dict[str, Any]] = (),
    placed: dict[str, Execution] | None = None,
    told: dict[str, Any] | list[dict[str, Any]] | None = None,
    ask: float = 0,
) -> tuple[Run, list[str]]:
    """Return a run of the tasks `a` and `b` after a look at its end, and the changes shown."""
    looks = iter([says] if isinstance(says, str) else says)

    said = [""]

    def run_state(_: str) -> str:
        said.append(next(looks))
        return said[-1]

    def get_run(_: str) -> Any:
        return SimpleNamespace(state=said[-1], created_at=START, finished_at=at(60), error=None)

    client = SimpleNamespace(run_state=run_state, get_run=get_run)
    monkeypatch.setattr(api, "connect", lambda _: client)
    monkeypatch.setattr(remote, "INTERVAL", 0)
    monkeypatch.setattr(remote, "ASK", ask)
    monkeypatch.setattr(
        watch,
        "opened",
        lambda *_: nullcontext(Told(told)),
    )

    def recorded(*_: object) -> tuple[dict[str, Execution], Home]:
        if placed is None:
            raise KitError("the metadata server does not answer")
        return placed, Home()

    monkeypatch.setattr(results, "recorded", recorded)
    target = Cluster("kind", "kind-kfp", "kubectl")
    if nodes:
        target.__dict__["workflows"] = [demo(nodes)]
    run = Run(
        "1", "demo", "v", "kind", State.RUNNING, START, tasks=[Task("a", "a"), Task("b", "b")]
    )
    changes: list[str] = []
    progress: Any = SimpleNamespace(changed=lambda t: changes.append(f"{t.name} {t.state}"))
    follower = remote._Follower(Place("kind", target, "http://none", ""), run, {}, progress)
    follower.follow(wait=True)
    return run, changes


def node(task: str, phase: str, template: str = IMPL) -> dict[str, Any]:
    role = "-driver" if template == DRIVER else ".executor"
    return {
        "id": f"demo-{task}-1",
        "name": f"demo.root.{task}{role}",
        "type": "Pod",
        "phase": phase,
        "templateName": template,
        "startedAt": "2026-03-29T12:00:00Z",
        "finishedAt": "2026-03-29T12:00:10Z",
    }


def execution(state: State) -> Execution:
    return Execution(2, "a", 1, state=state, started=at(1), finished=at(4))


def test_a_run_whose_workflow_is_gone_has_the_states_of_its_executions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    placed = {"a": execution(State.SUCCEEDED), "b": execution(State.FAILED)}
    run, changes = follow(monkeypatch, "FAILED", placed=placed)
    assert states(run) == [State.SUCCEEDED, State.FAILED]
    assert [task.seconds for task in run.tasks] == [3, 3]
    assert changes == ["a succeeded", "b failed"]


def test_tasks_whose_nodes_cannot_be_read_have_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = node("a", "Succeeded", DRIVER)
    run, changes = follow(
        monkeypatch,
        "SUCCEEDED",
        [driver, node("b", "Succeeded")],
        {"a": execution(State.SUCCEEDED)},
    )
    assert (run.state, states(run)) == (State.SUCCEEDED, [State.SUCCEEDED] * 2)
    assert changes == ["a running", "b succeeded", "a succeeded"]


def test_a_run_that_succeeded_with_a_failed_task_has_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = follow(monkeypatch, "SUCCEEDED", [node("a", "Failed"), node("b", "Succeeded")])
    assert run.state is State.FAILED
    assert run.error == "KFP says that the run succeeded, but task a failed"
    assert run.error in capsys.readouterr().err


def test_where_nothing_is_known_of_the_tasks_it_is_said_and_nothing_made_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, changes = follow(monkeypatch, "SUCCEEDED")
    assert (run.state, states(run), changes) == (State.SUCCEEDED, [State.PENDING] * 2, [])
    assert "the states of some tasks are not known" in capsys.readouterr().err


def test_a_driver_that_waits_is_said_once_however_often_it_is_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = {**node("a", "Running", DRIVER), "type": "Suspend", "name": "demo.root-driver"}
    tries = count(1)

    def items(_: object, kinds: list[str], *selector: str) -> list[dict[str, Any]]:
        if f"{PART}=warm-driver" in selector:
            return [runner()]
        driver["message"] = f"waiting for the store: refused (tried {next(tries)} times since 1:2)"
        metadata = {"name": "demo", "labels": {RUN: "1"}}
        status = {"phase": "Running", "nodes": {"a": driver}}
        looked = [{"kind": "Workflow", "metadata": metadata, "status": status}]
        return [] if "events" in kinds else looked

    monkeypatch.setattr(Cluster, "items", items)
    follow(monkeypatch, ["RUNNING", "RUNNING", "CANCELED"], placed={})
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("the driver of the run itself waits for the store: refused; it is") == 1


def test_a_run_that_nothing_moves_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    follow(monkeypatch, ["RUNNING", "RUNNING", "FAILED"], placed={"a": execution(State.FAILED)})
    said = capsys.readouterr().err
    assert said.count("the run will stay RUNNING for ever: its Workflow was removed") == 1


def test_what_a_watch_tells_is_not_asked_for_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "asked", 0)
    _, changes = follow(
        monkeypatch,
        ["RUNNING", "RUNNING", "SUCCEEDED"],
        [node("a", "Succeeded"), node("b", "Succeeded")],
        told=demo([node("a", "Succeeded")]),
    )
    assert changes == ["a succeeded", "b succeeded"]
    assert Cluster.asked == 1


def test_of_a_run_that_a_watch_tells_of_kfp_is_asked_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goes_on = demo([node("a", "Running")])
    over = demo([node("a", "Succeeded")])
    over["status"]["finishedAt"] = "2026-03-29T12:00:10Z"
    events = [goes_on, goes_on, goes_on, over, over]
    run, _ = follow(monkeypatch, ["RUNNING", "SUCCEEDED"], [], {}, told=events, ask=1000)
    assert run.state is State.SUCCEEDED
    # The first look and the one after the Workflow's end asked, none between.
    assert events == []


def test_all_that_waits_is_explained_by_one_look_at_the_cluster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits = [
        {**node(task, "Pending"), "id": f"demo-{task}-1", "message": f"Unschedulable: {task} waits"}
        for task in "ab"
    ]
    asked: list[tuple[list[str], tuple[str, ...]]] = []

    def items(_: object, kinds: list[str], *selector: str) -> list[dict[str, Any]]:
        asked.append((kinds, selector))
        return []

    monkeypatch.setattr(Cluster, "items", items)
    told = demo(waits)
    told["status"]["phase"] = "Running"
    follow(monkeypatch, ["RUNNING", "RUNNING", "FAILED"], [], {}, told=told)
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("the step a waits: no node takes its pod") == 1
    assert said.count("the step b waits: no node takes its pod") == 1
    # Of a day of runs the events that are no warnings are megabytes.
    events = [selector for kinds, selector in asked if kinds == ["events"]]
    assert events == [("--field-selector=type=Warning",)]


def test_how_far_a_pod_got_is_known_after_it_has_gone_and_a_refusal_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(api, "connect", lambda _: SimpleNamespace())
    there = iter([["one"], ["two"], None, None])

    def items(_: object, kinds: list[str], *selector: str) -> list[dict[str, Any]]:
        assert (kinds, selector) == (["pods"], (f"--selector={RUN}=1",))
        names = next(there)
        if names is None:
            raise CommandError("get pods", 1, "forbidden")
        return [{"metadata": {"name": name}} for name in names]

    monkeypatch.setattr(Cluster, "items", items)
    run = Run("1", "demo", "v", "kind", State.RUNNING, START)
    place = Place("kind", Cluster("kind", "kind-kfp", "kubectl"), "http://none", "")
    progress: Any = SimpleNamespace()
    follower = remote._Follower(place, run, {}, progress)
    for _ in range(4):
        follower.look_at_pods()
    assert sorted(follower.pods) == ["one", "two"]
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("where the tasks' time went is not known") == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_run_that_is_over_is_so_whatever_its_results_meet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException
) -> None:
    class Follower(remote._Follower):
        def follow(self, *, wait: bool) -> None:
            assert wait
            self._run.state = State.SUCCEEDED

    def bring(*_: object) -> None:
        raise error

    monkeypatch.setattr(api, "connect", lambda _: None)
    monkeypatch.setattr(remote, "_Follower", Follower)
    monkeypatch.setattr(results, "bring", bring)
    spec = pipelines.find("tests/support/pipelines/hello.py").spec
    place = Place("kind", Cluster("kind", "kind-kfp", "kubectl"), "http://none", "")
    progress: Any = SimpleNamespace(show=lambda _: None)
    if isinstance(error, OSError):
        done = remote.run(place, "1", spec, [], tmp_path, progress)
    else:
        with pytest.raises(InterruptedRun) as interrupted:
            remote.run(place, "1", spec, [], tmp_path, progress)
        done = interrupted.value.run
    assert done.state is State.SUCCEEDED
