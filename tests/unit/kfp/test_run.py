from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from kfpkit.core.errors import BadInputError
from kfpkit.kfp.run import Phase, Run, State, Task

if TYPE_CHECKING:
    from pathlib import Path


def a_run(*tasks: Task) -> Run:
    return Run("id", "p", "v", "local", State.FAILED, datetime.now(UTC), tasks=list(tasks))


def test_a_description_comes_back_as_it_was(run: Run, tmp_path: Path) -> None:
    assert Run.from_json(run.save(tmp_path).read_text()) == run


def test_a_description_of_a_run_that_has_not_started_comes_back(run: Run) -> None:
    run.started = run.finished = None
    run.state = State.PENDING
    assert Run.from_json(run.to_json()) == run
    assert run.seconds is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("[]", id="no object"),
        pytest.param("{}", id="no format"),
        pytest.param('{"format": 2}', id="no fields"),
        pytest.param('{"format": 1}', id="another format"),
    ],
)
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        Run.from_json(text)


def test_an_unknown_state_is_refused(run: Run) -> None:
    data = json.loads(run.to_json()) | {"state": "dreaming"}
    with pytest.raises(BadInputError, match="dreaming"):
        Run.from_json(json.dumps(data))


def test_rounds_take_the_place_of_their_task_and_are_read_back() -> None:
    rounds = [
        Task("for-loop-1[0]/work", "work", State.SUCCEEDED),
        Task("for-loop-1[1]/work", "work", State.FAILED, error="bad"),
    ]
    run = a_run(Task("make", "make"), Task("for-loop-1/work", "work", rounds=rounds))
    assert [row.name for row in run.rows] == ["make", "for-loop-1[0]/work", "for-loop-1[1]/work"]
    assert run.failed == [rounds[1]]
    assert Run.from_json(run.to_json()) == run


def test_what_json_has_no_number_for_is_a_text() -> None:
    run = a_run(Task("make", "make", outputs={"x": math.nan, "y": [math.inf, {"z": -math.inf}]}))
    read = json.loads(run.to_json(), parse_constant=pytest.fail)
    assert read["tasks"][0]["outputs"] == {"x": "NaN", "y": ["Infinity", {"z": "-Infinity"}]}


def test_where_the_time_went_comes_back() -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    at = [begin + timedelta(seconds=seconds) for seconds in range(8)]
    task = Task("train", "train", started=at[2], finished=at[7])
    task.spend(Phase.WORK, at[4], at[5])
    task.spend(Phase.WAITING, at[0], at[2])
    task.spend(Phase.WORK, at[6], at[7])
    assert task.phases == {"waiting": 2, "work": 2}
    assert task.spans == [("waiting", -2, 2), ("work", 2, 1), ("work", 4, 1)]
    run = a_run(task)
    assert Run.from_json(run.to_json()) == run


def test_of_time_that_is_not_known_nothing_is_noted() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    later = at + timedelta(seconds=1)
    task = Task("train", "train", started=at)
    task.spend(Phase.START, None, at)
    task.spend(Phase.WORK, at, None)
    task.spend(Phase.DRIVER, later, at)
    Task("new", "new").spend(Phase.WORK, at, later)
    assert (task.phases, task.spans) == ({}, [])


def test_a_description_of_format_2_is_read(run: Run) -> None:
    data = json.loads(run.to_json()) | {"format": 2}
    for new in ("command", "explanation"):
        del data[new]
    for task in data["tasks"]:
        for new in ("phases", "spans", "cached_from"):
            del task[new]
        for artifact in task["artifacts"]:
            del artifact["sha256"]
    read = Run.from_json(json.dumps(data))
    assert [task.name for task in read.tasks] == [task.name for task in run.tasks]
    assert not any(task.phases or task.cached_from for task in read.tasks)
    artifacts = [artifact for task in read.tasks for artifact in task.artifacts]
    assert {artifact.sha256 for artifact in artifacts} == {""}
