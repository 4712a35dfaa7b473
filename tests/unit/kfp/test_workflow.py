"""What a run's Workflow says of its tasks. Nodes are as Argo 3.6 and KFP 2.14.3 write them."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kfpkit.kfp import workflow
from kfpkit.kfp.run import State, Task

#: With driver pods, and as with the warm driver.
pytestmark = pytest.mark.usefixtures("either_driver")

NAME = "demo-x7k2p"

DRIVER = "system-container-driver"
GRAPH_DRIVER = "system-dag-driver"
IMPL = "system-container-impl"
WRAP = "system-container-executor"


def node(path: str, phase: str, template: str, kind: str = "Pod", **more: Any) -> dict[str, Any]:
    return {
        "id": f"{NAME}-{sum(map(ord, path))}",
        "name": f"{NAME}.{path}",
        "type": kind,
        "phase": phase,
        "templateName": template,
        "startedAt": "2026-03-29T12:00:00Z",
        "finishedAt": None if phase in ("Running", "Pending") else "2026-03-29T12:00:10Z",
        **more,
    }


def decided(cached: bool, execution: int = 5) -> dict[str, Any]:
    values = {"cached-decision": str(cached).lower(), "execution-id": str(execution)}
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}


def state(*nodes: dict[str, Any], task: str = "train") -> Task:
    """Return a task after a look at these nodes."""
    status = {"nodes": {n["name"]: n for n in nodes}}
    seen = workflow.Workflow({"metadata": {"name": NAME}, "status": status})
    found = Task(task, "train")
    workflow.update(found, seen)
    return found


def test_a_task_runs_from_its_driver_to_the_end_of_its_pod() -> None:
    driver = node("root.train-driver", "Running", DRIVER)
    assert state().state is State.PENDING
    assert state(driver).state is State.RUNNING
    driver = node("root.train-driver", "Succeeded", DRIVER, outputs=decided(cached=False))
    assert state(driver).state is State.RUNNING
    wrap = node("root.train", "Running", WRAP, "DAG")
    assert state(driver, wrap).state is State.RUNNING
    pod = node("root.train.executor", "Running", IMPL, startedAt="2026-03-29T12:00:11Z")
    assert state(driver, wrap, pod).state is State.RUNNING
    pod = node(
        "root.train.executor",
        "Succeeded",
        IMPL,
        startedAt="2026-03-29T12:00:11Z",
        finishedAt="2026-03-29T12:00:31Z",
    )
    done = state(driver, node("root.train", "Succeeded", WRAP, "DAG"), pod)
    assert (done.state, done.cached) == (State.SUCCEEDED, False)
    assert done.started == datetime(2026, 3, 29, 12, 0, 0, tzinfo=UTC)
    assert done.finished == datetime(2026, 3, 29, 12, 0, 31, tzinfo=UTC)


def test_a_cached_task_has_succeeded_from_the_cache() -> None:
    done = state(
        node("root.train-driver", "Succeeded", DRIVER, outputs=decided(cached=True)),
        node("root.train", "Succeeded", WRAP, "DAG"),
        node("root.train.executor", "Skipped", IMPL, "Skipped"),
    )
    assert (done.state, done.cached) == (State.SUCCEEDED, True)


def test_a_failed_pod_fails_its_task() -> None:
    driver = node("root.train-driver", "Succeeded", DRIVER, outputs=decided(cached=False))
    assert state(driver, node("root.train.executor", "Failed", IMPL)).state is State.FAILED


def test_a_failed_driver_fails_its_task() -> None:
    assert state(node("root.train-driver", "Error", DRIVER)).state is State.FAILED


def test_a_task_that_is_tried_again_runs_until_the_last_attempt() -> None:
    driver = node("root.train-driver", "Succeeded", DRIVER, outputs=decided(cached=False))
    first = node("root.train.executor(0)", "Failed", "retry-" + IMPL)
    second = node("root.train.executor(1)", "Running", "retry-" + IMPL)
    trying = node("root.train.executor", "Running", "retry-" + IMPL, "Retry")
    assert state(driver, trying, first, second).state is State.RUNNING
    second["phase"], trying["phase"] = "Succeeded", "Succeeded"
    assert state(driver, trying, first, second).state is State.SUCCEEDED
    second["phase"], trying["phase"] = "Failed", "Failed"
    assert state(driver, trying, first, second).state is State.FAILED


def test_a_task_whose_condition_does_not_hold_is_skipped() -> None:
    driver = node("root.train-driver", "Succeeded", DRIVER, outputs=decided(cached=False))
    assert state(driver, node("root.train", "Skipped", WRAP, "Skipped")).state is State.SKIPPED


def test_a_task_after_a_failure_is_not_run() -> None:
    omitted = [
        node("root.train-driver", "Omitted", DRIVER, "Skipped"),
        node("root.train", "Omitted", WRAP, "Skipped"),
    ]
    assert state(*omitted).state is State.NOT_RUN


@pytest.mark.parametrize(
    ("path", "task"),
    [
        ("root.condition-2.train.executor", "condition-2/train"),
        (
            "root.for-loop-1.iteration-iterations(0:0).iteration-item.train.executor",
            "for-loop-1/train",
        ),
        ("root.exit-handler-1.onExit.clean.executor", "clean"),
        ("root.exit-handler-1.onExit.clean.executor(1)", "clean"),
    ],
)
def test_tasks_inside_graphs_are_found(path: str, task: str) -> None:
    done = state(node(path, "Succeeded", IMPL), task=task)
    assert done.state is State.SUCCEEDED


def test_a_round_of_a_loop_that_fails_fails_the_task() -> None:
    loop = "root.for-loop-1.iteration-iterations({0}:{0}).iteration-item.train.executor"
    done = state(
        node(loop.format(0), "Failed", IMPL),
        node(loop.format(1), "Succeeded", IMPL),
        task="for-loop-1/train",
    )
    assert done.state is State.FAILED


@pytest.mark.parametrize("template", ["system-importer", DRIVER])
def test_a_task_of_one_pod(template: str) -> None:
    assert state(node("root.train", "Running", template)).state is State.RUNNING
    assert state(node("root.train", "Succeeded", template)).state is State.SUCCEEDED


def test_the_pod_of_a_graph_belongs_to_no_task() -> None:
    failed = node("root-driver", "Failed", GRAPH_DRIVER, message="Error (exit code 1)")
    seen = workflow.Workflow({"metadata": {"name": NAME}, "status": {"nodes": {"a": failed}}})
    (found,) = seen.nodes
    assert (found.row, found.failed) == ("", True)
    assert found.pod == ("" if found.warm else workflow.pod_name(failed))


def test_a_driver_without_a_pod_waits_where_its_message_says_for_what() -> None:
    why = "waiting for the metadata server: refused (tried 2 times since 12:00:05)"
    for message, expected in ((why, [why]), ("", [])):
        driver = node("root.train-driver", "Running", DRIVER, "Suspend", message=message)
        seen = workflow.Workflow({"metadata": {"name": NAME}, "status": {"nodes": {"a": driver}}})
        assert [node.message for node in seen.nodes if node.waits] == expected


def test_a_pod_that_cannot_start_says_why() -> None:
    why = "ImagePullBackOff: Back-off pulling image"
    stuck = node("root.train.executor", "Pending", IMPL, message=why)
    normal = node("root.train.executor", "Pending", IMPL, message="PodInitializing")
    for pod, expected in ((stuck, [why]), (normal, [])):
        seen = workflow.Workflow({"metadata": {"name": NAME}, "status": {"nodes": {"a": pod}}})
        assert [node.message for node in seen.nodes if node.waits] == expected


def test_the_archived_log_is_known() -> None:
    logs = {"artifacts": [{"name": "main-logs", "s3": {"key": "artifacts/a/main.log"}}]}
    pod = node("root.train.executor", "Failed", IMPL, outputs=logs)
    seen = workflow.Workflow({"metadata": {"name": NAME}, "status": {"nodes": {"a": pod}}})
    (failed,) = seen.nodes
    assert failed.log == "artifacts/a/main.log"


def test_nodes_that_argo_compressed_are_read() -> None:
    status = {"nodes": {"a": {"phase": "Failed"}}}
    packed = base64.b64encode(gzip.compress(json.dumps(status["nodes"]).encode())).decode()
    assert workflow.nodes({"compressedNodes": packed}) == workflow.nodes(status) == status["nodes"]
    assert workflow.nodes({}) == {}


LOOP = "root.for-loop-1.iteration-iterations({0}:{0})"


def loop(*nodes: dict[str, Any], task: str = "for-loop-1/train", over: bool = True) -> Task:
    """Return a task in a loop after a look at the loop and these nodes of its rounds."""
    phase = "Succeeded" if over else "Running"
    around = [node("root.for-loop-1", phase, "comp-for-loop-1-iterator", "DAG")]
    return state(*around, *nodes, task=task)


def test_each_round_of_a_loop_is_a_row_with_its_own_state_and_times() -> None:
    inner = LOOP + ".iteration-item.train.executor"
    done = loop(
        node(inner.format(0), "Succeeded", IMPL),
        node(inner.format(1), "Failed", IMPL, finishedAt="2026-03-29T12:00:03Z"),
        node(inner.format(10), "Succeeded", IMPL, finishedAt="2026-03-29T12:00:30Z"),
        node(inner.format(2), "Succeeded", IMPL, startedAt="2026-03-29T11:59:59Z"),
    )
    assert [(row.name, row.state) for row in done.rounds] == [
        ("for-loop-1[0]/train", State.SUCCEEDED),
        ("for-loop-1[1]/train", State.FAILED),
        ("for-loop-1[2]/train", State.SUCCEEDED),
        ("for-loop-1[10]/train", State.SUCCEEDED),
    ]
    assert done.rounds[1].seconds == 3
    assert (done.state, done.seconds) == (State.FAILED, 31)


def test_rounds_inside_rounds_are_rows() -> None:
    inner = LOOP + ".iteration-item.for-loop-2.iteration-iterations({1}:{1}).iteration-item.a"
    done = loop(
        *(
            node(inner.format(i, j) + ".executor", "Succeeded", IMPL)
            for i in (0, 1)
            for j in (0, 1)
        ),
        task="for-loop-1/for-loop-2/a",
    )
    assert [row.name for row in done.rounds] == [
        f"for-loop-1[{i}]/for-loop-2[{j}]/a" for i in (0, 1) for j in (0, 1)
    ]


def test_a_task_runs_until_the_last_round_of_its_loop_is_there() -> None:
    first = node((LOOP + ".iteration-item.train.executor").format(0), "Succeeded", IMPL)
    assert loop(first, over=False).state is State.RUNNING
    assert loop(first).state is State.SUCCEEDED
    skipped = node(LOOP.format(0) + ".iteration-item.condition-2", "Skipped", "c", "Skipped")
    begun = node(LOOP.format(1) + ".iteration-item", "Running", "c", "DAG")
    task = "for-loop-1/condition-2/train"
    assert loop(skipped, begun, task=task, over=False).state is State.RUNNING
    assert loop(begun, task=task, over=False).state is State.PENDING


def test_rounds_stay_the_same_rows_from_look_to_look() -> None:
    inner = LOOP + ".iteration-item.train.executor"
    task = Task("for-loop-1/train", "train")
    nodes = [node(inner.format(0), "Running", IMPL)]
    for _ in range(2):
        found = {"metadata": {"name": NAME}, "status": {"nodes": {n["name"]: n for n in nodes}}}
        workflow.update(task, workflow.Workflow(found))
        nodes = [node(inner.format(n), "Succeeded", IMPL) for n in (0, 1)]
    assert [row.state for row in task.rounds] == [State.SUCCEEDED] * 2


def test_a_loop_over_nothing_is_skipped() -> None:
    none = node("root.for-loop-1.iteration-iterations", "Skipped", "comp", "Skipped")
    done = loop(none)
    assert (done.state, done.rounds) == (State.SKIPPED, [])


def test_tasks_of_a_branch_that_was_not_taken_are_skipped_though_they_have_no_nodes() -> None:
    driver = node("root.condition-2-driver", "Succeeded", GRAPH_DRIVER)
    left_out = node("root.condition-2", "Skipped", "comp-condition-2", "Skipped")
    for task in ("condition-2/train", "condition-2/condition-3/train"):
        assert state(driver, left_out, task=task).state is State.SKIPPED


def test_a_branch_that_one_round_did_not_take_is_skipped_in_that_round() -> None:
    branch = LOOP + ".iteration-item.condition-2"
    done = loop(
        node(branch.format(0), "Skipped", "comp-condition-2", "Skipped"),
        node(branch.format(1), "Succeeded", "comp-condition-2", "DAG"),
        node(branch.format(1) + ".train.executor", "Succeeded", IMPL),
        task="for-loop-1/condition-2/train",
    )
    assert [row.state for row in done.rounds] == [State.SKIPPED, State.SUCCEEDED]
    assert done.state is State.SUCCEEDED


def test_tasks_of_a_graph_whose_driver_failed_are_not_run() -> None:
    driver = node("root.condition-2-driver", "Failed", GRAPH_DRIVER)
    omitted = node("root.condition-2", "Omitted", "comp-condition-2", "Skipped")
    assert state(driver, omitted, task="condition-2/train").state is State.NOT_RUN


def test_a_task_whose_graph_has_not_begun_is_pending() -> None:
    running = node("root", "Running", "root", "DAG")
    assert state(running, task="condition-2/train").state is State.PENDING


def test_attempts_are_in_their_order_also_where_all_began_in_one_second() -> None:
    attempts = [
        node(f"root.train.executor({n})", "Failed", "retry-" + IMPL, message=str(n))
        for n in (10, 0, 2)
    ]
    nodes = {n["name"]: n for n in attempts}
    seen = workflow.Workflow({"metadata": {"name": NAME}, "status": {"nodes": nodes}})
    assert [node.message for node in seen.of("train")] == ["0", "2", "10"]


def test_a_row_of_the_same_round() -> None:
    assert workflow.round_of("for-loop-1[3]/b", "for-loop-1/a") == "for-loop-1[3]/a"
    assert workflow.round_of("for-loop-1[3]/b", "a") == "a"
    assert workflow.round_of("for-loop-1[3]/b", "for-loop-2/a") == "for-loop-2/a"
    inner = workflow.round_of("for-loop-1[3]/for-loop-2[0]/b", "for-loop-1/condition-4/a")
    assert inner == "for-loop-1[3]/condition-4/a"
