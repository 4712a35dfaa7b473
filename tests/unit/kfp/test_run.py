from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from kfpkit.core.errors import BadInputError
from kfpkit.kfp.run import Run, State, Task, duration

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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7620, "2 h 07 min"),
    ],
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


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
