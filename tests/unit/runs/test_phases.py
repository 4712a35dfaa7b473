"""Where a task's time went, out of made-up Workflows and pods."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest

from kfpkit.kfp.run import Run, State, Task
from kfpkit.kfp.target import Target
from kfpkit.kfp.workflow import Workflow, update
from kfpkit.runs import phases
from tests.support.workflows import START, at

#: With driver pods, and as with the warm driver.
pytestmark = pytest.mark.usefixtures("either_driver")

DRIVER, IMPL = "system-container-driver", "system-container-impl"


def text(seconds: float) -> str:
    return at(seconds).isoformat().replace("+00:00", "Z")


def node(name: str, begin: float, end: float, template: str = IMPL, **more: Any) -> dict[str, Any]:
    return {
        "id": f"demo-{crc32(name.encode())}",
        "name": f"demo.root.{name}",
        "type": "Pod",
        "phase": "Succeeded",
        "templateName": template,
        "startedAt": text(begin),
        "finishedAt": text(end),
        **more,
    }


def pod(of: dict[str, Any], placed: float, began: float, ended: float | None) -> dict[str, Any]:
    state: dict[str, Any] = {"running": {"startedAt": text(began)}}
    if ended is not None:
        state = {"terminated": {"startedAt": text(began), "finishedAt": text(ended)}}
    number = of["id"].rpartition("-")[2]
    return {
        "metadata": {
            "name": f"demo-{of['templateName']}-{number}",
            "creationTimestamp": of["startedAt"],
        },
        "status": {
            "conditions": [
                {"type": "Initialized", "status": "True", "lastTransitionTime": text(99)},
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": text(placed)},
            ],
            "containerStatuses": [{"name": "wait", "state": {}}, {"name": "main", "state": state}],
        },
    }


class Cluster(Target):
    """A cluster with some pods."""

    pods: list[dict[str, Any]]

    def items(self, kinds: Any, *selector: str) -> list[dict[str, Any]]:
        assert (kinds, selector) == (["pods"], ("--selector=x",))
        return self.pods


def spent(
    tasks: list[Task], nodes: list[dict[str, Any]], pods: list[dict[str, Any]]
) -> dict[str, Task]:
    """Return the rows of a run of these tasks, with what their time went into."""
    status = {"phase": "Succeeded", "startedAt": text(0), "nodes": {n["id"]: n for n in nodes}}
    seen = Workflow({"metadata": {"name": "demo"}, "status": status})
    run = Run("1", "demo", "v", "kind", State.SUCCEEDED, START, started=START, tasks=tasks)
    for task in tasks:
        update(task, seen)
    cluster = Cluster("kind", "kind-kfp", "kubectl")
    cluster.__dict__["pods"] = pods
    phases.spend(run, seen, phases.attempts(cluster, "--selector=x"))
    return {row.name: row for row in run.rows}


def test_a_task_is_split_into_what_its_driver_and_its_pod_did() -> None:
    work = node("b.executor", 15, 40)
    rows = spent(
        [Task("a", "a"), Task("b", "b", depends_on=["a"])],
        [node("a.executor", 0, 4), node("b-driver", 7, 12, DRIVER), work],
        [pod(work, placed=20, began=23, ended=39)],
    )
    assert rows["b"].phases == {"waiting": 3 + 3 + 5, "driver": 5, "start": 3, "work": 16}
    assert rows["b"].spans == [
        ("waiting", -3, 3),
        ("driver", 0, 5),
        ("waiting", 5, 3),
        ("waiting", 8, 5),
        ("start", 13, 3),
        ("work", 16, 16),
    ]


def test_where_the_pod_is_gone_only_what_argo_has_is_told() -> None:
    nodes = [node("a-driver", 1, 2, DRIVER), node("a.executor", 2, 9)]
    row = spent([Task("a", "a")], nodes, [])["a"]
    assert row.phases == {"waiting": 1, "driver": 1}


def test_a_pod_that_has_not_ended_has_no_work_yet() -> None:
    work = node("a.executor", 2, 9)
    row = spent([Task("a", "a")], [work], [pod(work, placed=2, began=5, ended=None)])["a"]
    assert row.phases == {"waiting": 2 + 0}


def test_each_attempt_counts_and_the_time_between_is_waiting() -> None:
    first = node("a.executor(0)", 2, 10, phase="Failed")
    second = node("a.executor(1)", 16, 20)
    retry = node("a.executor", 2, 20, type="Retry", children=[first["id"], second["id"]])
    row = spent(
        [Task("a", "a")],
        [node("a-driver", 0, 2, DRIVER), retry, first, second],
        [pod(first, 2, 4, 10), pod(second, 16, 17, 20)],
    )["a"]
    assert row.state is State.SUCCEEDED
    assert row.phases == {"waiting": 6, "driver": 2, "start": 2 + 1, "work": 6 + 3}


def test_a_cached_task_has_a_driver_alone() -> None:
    cached = {"parameters": [{"name": "cached-decision", "value": "true"}]}
    nodes = [
        node("a-driver", 3, 5, DRIVER, outputs=cached),
        node("a.executor", 5, 5, type="Skipped", phase="Skipped"),
    ]
    row = spent([Task("a", "a")], nodes, [])["a"]
    assert (row.cached, row.phases) == (True, {"waiting": 3, "driver": 2})


def test_a_round_waits_for_those_of_its_own_round() -> None:
    def inner(number: int, step: str) -> str:
        return f"loop.iteration-iterations({number}:{number}).iteration-item.{step}.executor"

    rows = spent(
        [Task("loop/a", "a"), Task("loop/b", "b", depends_on=["loop/a"])],
        [
            node(inner(0, "a"), 0, 10),
            node(inner(1, "a"), 0, 30),
            node(inner(0, "b"), 12, 14),
            node(inner(1, "b"), 31, 33),
        ],
        [],
    )
    assert rows["loop[0]/b"].phases == {"waiting": 2}
    assert rows["loop[1]/b"].phases == {"waiting": 1}


def test_after_what_has_no_end_or_did_not_run_nothing_is_made_up() -> None:
    left_out = Task("a", "a", State.SKIPPED)
    endless = Task("b", "b", State.RUNNING, at(1))
    after = Task("c", "c", State.SUCCEEDED, at(9), at(10), depends_on=["a"])
    later = Task("d", "d", State.SUCCEEDED, at(9), at(10), depends_on=["a", "b"])
    run = Run("1", "demo", "v", "local", State.SUCCEEDED, START, started=START)
    run.tasks = [left_out, endless, after, later]
    phases.wait(run)
    assert (after.phases, later.phases) == ({"waiting": 9}, {})
    run.started = None
    phases.wait(run)
    assert after.phases == {"waiting": 9}


def test_a_run_whose_workflow_is_gone_has_no_phases() -> None:
    row = Task("a", "a", State.SUCCEEDED, at(5), at(6))
    run = Run("1", "demo", "v", "kind", State.SUCCEEDED, START, started=START, tasks=[row])
    phases.spend(run, Workflow(), {})
    assert row.phases == {}
