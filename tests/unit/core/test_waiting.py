"""Waits: they end with the condition, and a timeout says what was seen last."""

from __future__ import annotations

import pytest

from kfpkit.core.errors import WaitTimeoutError
from kfpkit.core.waiting import wait_for


def test_a_wait_ends_as_soon_as_the_condition_holds() -> None:
    states = iter(["0 of 2", "1 of 2", None])
    assert wait_for("pods", lambda: next(states), timeout=5, interval=0.01) < 5


def test_a_timeout_reports_the_last_state_and_the_advice() -> None:
    with pytest.raises(WaitTimeoutError, match=r"pods: not after 0 s; last state: 1 of 2\. Look"):
        wait_for("pods", lambda: "1 of 2", timeout=0.05, interval=0.01, do="Look at the events")


def test_progress_names_what_is_waited_for(capfd: pytest.CaptureFixture[str]) -> None:
    states = iter(["pulling", None])
    wait_for("pod mysql Ready", lambda: next(states), timeout=5, interval=0.01)
    assert "waiting for pod mysql Ready: pulling (0 s of 5 s)" in capfd.readouterr().err
