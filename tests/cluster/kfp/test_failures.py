"""Runs that fail, are tried again, or are ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from kfpkit.runs.lookup import look

if TYPE_CHECKING:
    from tests.support.runs import Run

pytestmark = [pytest.mark.kfp, pytest.mark.turn(4), pytest.mark.timeout(1200)]


def test_a_failing_run_names_its_failing_task_and_says_why(runs: dict[str, Run]) -> None:
    run = runs["stumble"].finish("FAILED")
    states = run.tasks()
    assert {name: states[name] for name in ("stumble", "go-on")} == {
        "stumble": {"FAILED"},
        "go-on": {"None"},
    }
    assert "ValueError: slipped" in run.log("stumble")


def test_a_task_is_tried_again_when_its_pipeline_says_so(runs: dict[str, Run]) -> None:
    run = runs["retried task"].finish()
    assert [pod["phase"] for pod in run.pods("fail-at-first")] == ["Failed", "Succeeded"]
    assert "this is the second attempt" in run.log("fail-at-first")


def test_a_failed_run_can_be_retried(runs: dict[str, Run]) -> None:
    run = runs["retried run"]
    run.finish("FAILED")
    assert "this is the first attempt" in run.log("fail-at-first")
    url = f"{run.host}/apis/v2beta1/runs/{run.id}:retry"
    requests.post(url, timeout=30).raise_for_status()
    run.finish()
    assert "this is the second attempt" in run.log("fail-at-first")


def test_a_run_can_be_terminated(runs: dict[str, Run]) -> None:
    run = runs["sleep"]

    def asleep() -> str | None:
        pods = run.pods("sleep")
        return None if pods and pods[0]["phase"] == "Running" else f"{pods}"

    run.wait_until("the sleeping task", asleep)
    run.client.terminate_run(run.id)
    # 2.14.3 and 2.17.0 have no other word for it (docs/use/limits.md).
    run.finish("FAILED", timeout=120)
    assert [pod["phase"] for pod in run.pods("sleep")] == ["Failed"]
    assert look(run.target, run.id).reason == "terminated"
