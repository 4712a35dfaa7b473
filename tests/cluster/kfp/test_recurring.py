"""Recurring runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core.waiting import wait_for
from tests.support.runs import HOST, Run

if TYPE_CHECKING:
    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.turn(4), pytest.mark.timeout(1200)]


def test_a_recurring_run_fires_once_when_it_is_due(
    client: Any, target: Target, recurring: Any
) -> None:
    def made() -> list[Any]:
        listed = client.list_runs(page_size=100, sort_by="created_at desc").runs or []
        return [run for run in listed if run.recurring_run_id == recurring.recurring_run_id]

    wait_for(
        "the first of a recurring run",
        lambda: None if made() else f"none of {recurring.display_name}",
        timeout=180,
        do="Look at the log of the part scheduled-workflow",
    )
    (first,) = made()
    run = Run(client, target, HOST, first.run_id).finish()
    assert "Hello, every hour." in run.log("greet")
    assert len(made()) == 1
