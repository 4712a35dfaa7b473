"""What Vertex AI says of tasks becomes the rows of a run, however it tells the rounds of loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format

from kfpkit.kfp import metadata
from kfpkit.kfp import spec as ir
from kfpkit.kfp.run import Run, State
from kfpkit.vertex import details
from tests.support.pipelines.flow import flow
from tests.support.vertex import told

if TYPE_CHECKING:
    from kfpkit.kfp.spec import Spec

SPEC: Spec = json_format.MessageToDict(flow.pipeline_spec)
JOB = "projects/p/locations/l/pipelineJobs/flow-1"
LOOP = "sum-of-squares/for-loop-1"
SQUARE = f"{LOOP}/square"


def job(*tasks: dict[str, Any]) -> dict[str, Any]:
    return {"jobDetail": {"taskDetails": list(tasks)}}


def element(number: int, name: str, above: int = 0, **more: Any) -> dict[str, Any]:
    detail: dict[str, Any] = {"taskId": str(number), "taskName": name, "state": "SUCCEEDED"}
    if above:
        detail["parentTaskId"] = str(above)
    detail["createTime"] = f"2026-01-01T00:00:{number % 60:02d}.5Z"
    return detail | more


def rows(told_of: dict[str, Any]) -> dict[str, State]:
    placed, _ = details.place(told_of, SPEC)
    tasks = ir.tasks(SPEC, {"numbers": [1, 2]})
    for task in tasks:
        metadata.update(task, placed)
    return {
        row.name: row.state
        for row in Run("", "", "", "", State.RUNNING, None, tasks=tasks).rows  # type: ignore[arg-type]
    }


def test_the_fixture_has_a_loop_in_a_nested_pipeline() -> None:
    assert SQUARE in {task.name for task in ir.tasks(SPEC, {})}


@pytest.mark.parametrize("own", [True, False], ids=["with the pipeline itself", "without it"])
def test_each_round_is_an_element_of_its_own(own: bool) -> None:
    top = [element(1, "flow-1")] if own else []
    found = rows(
        job(
            *top,
            element(2, "sum-of-squares", 1 if own else 0),
            element(3, "for-loop-1", 2),
            # Its number counts, not when it was made.
            element(4, "for-loop-1-10", 3),
            element(5, "for-loop-1-2", 3),
            element(6, "square", 4, state="FAILED"),
            element(7, "square", 5),
        )
    )
    assert found[f"{LOOP}[0]/square"] is State.SUCCEEDED
    assert found[f"{LOOP}[1]/square"] is State.FAILED
    assert SQUARE not in found


def test_a_loop_has_its_tasks_several_times() -> None:
    found = rows(
        job(
            element(2, "sum-of-squares"),
            element(3, "for-loop-1", 2),
            element(5, "square", 3),
            element(6, "square", 3, state="RUNNING"),
        )
    )
    assert found[f"{LOOP}[0]/square"] is State.SUCCEEDED
    assert found[f"{LOOP}[1]/square"] is State.RUNNING


def test_a_task_may_be_called_as_people_call_it() -> None:
    spec: Spec = {
        "root": {
            "dag": {
                "tasks": {
                    "t": {"componentRef": {"name": "comp-t"}, "taskInfo": {"name": "My task"}}
                }
            }
        },
        "components": {"comp-t": {"executorLabel": "exec-t"}},
    }
    placed, _ = details.place(job(element(1, "My task")), spec)
    assert placed["t"].state is State.SUCCEEDED


def test_what_is_in_no_graph_of_the_pipeline_is_left_out() -> None:
    before = rows(job())
    assert rows(job(element(1, "of-another"), element(2, "square", 99), {"taskId": "7"})) == before
    assert set(before.values()) == {State.PENDING}


def test_every_state_of_the_api_is_known() -> None:
    from google.cloud.aiplatform_v1 import PipelineTaskDetail

    known = set(PipelineTaskDetail.State.__members__)
    assert known - {"STATE_UNSPECIFIED"} == details._STATES.keys()


def test_a_task_out_of_the_cache_has_values_and_artifacts() -> None:
    spec: Spec = {
        "root": {"dag": {"tasks": {"train": {"componentRef": {"name": "comp-train"}}}}},
        "components": {"comp-train": {"executorLabel": "exec-train"}},
    }
    values = {
        "input:n": 3.0,
        "output:score": 0.5,
        "output:all": [1.0],
        "input:pipelinechannel--x": 1,
    }
    artifact = {"uri": "gs://b/m", "schemaTitle": "system.Metrics", "metadata": {"accuracy": 1.0}}
    detail = element(
        1,
        "train",
        state="SKIPPED",
        startTime="2026-01-01T00:00:01Z",
        endTime="2026-01-01T00:00:03.25Z",
        execution={"metadata": values},
        outputs={"metrics": {"artifacts": [artifact]}, "none": {}},
    )
    placed, found = details.place(job(detail), spec)
    train = placed["train"]
    assert (train.state, train.cached) == (State.SUCCEEDED, True)
    assert train.inputs == {"n": 3}
    assert train.outputs == {"score": 0.5, "all": [1]}
    assert train.started
    assert train.finished
    assert (train.finished - train.started).total_seconds() == 2.25
    (one,) = train.artifacts
    assert (one.name, one.type, one.uri) == ("metrics", "system.Metrics", "gs://b/m")
    assert one.metadata == {"accuracy": 1}
    assert found["train"] is detail


def test_the_stand_in_tells_what_is_read_back() -> None:
    tasks = ir.tasks(SPEC, {})
    by_name = {task.name: task for task in tasks}
    loop = by_name[SQUARE]
    from kfpkit.kfp.run import Task

    loop.rounds = [
        Task(f"{LOOP}[{n}]/square", "square", state=state)
        for n, state in enumerate([State.SUCCEEDED, State.FAILED])
    ]
    run = Run("", "", "", "", State.RUNNING, None, tasks=tasks)  # type: ignore[arg-type]
    found = rows(job(*told.details(JOB, run)))
    assert found[f"{LOOP}[0]/square"] is State.SUCCEEDED
    assert found[f"{LOOP}[1]/square"] is State.FAILED
