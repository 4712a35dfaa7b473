"""Loops, choices, nested pipelines, exit handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.runs import Run

pytestmark = [pytest.mark.kfp, pytest.mark.turn(4), pytest.mark.timeout(1200)]


def test_a_nested_pipeline_a_loop_and_a_choice_lead_to_the_right_end(runs: dict[str, Run]) -> None:
    run = runs["flow"].finish()
    assert run.log("conclude").count("13 is medium") == 1
    assert len(run.pods("square")) == 2
    assert [len(run.pods(name)) for name in ("name-it", "name-it-2", "name-it-3")] == [0, 1, 0]


def test_loops_of_one_name_are_kept_apart(runs: dict[str, Run]) -> None:
    run = runs["twins"].finish()
    assert len(run.pods("conclude")) == 2
    assert "100 is large" in run.log("conclude-2")


def test_an_exit_handler_runs_after_a_failure(runs: dict[str, Run]) -> None:
    run = runs["stumble"].finish("FAILED")
    assert "tidied up after exit-handler-1: FAILED" in run.log("tidy-up")
