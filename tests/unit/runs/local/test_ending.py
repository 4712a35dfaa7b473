"""What the terminal says at the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kfpkit.cli import ending as command
from kfpkit.core.errors import KitError
from kfpkit.kfp.run import Artifact, State, Task

if TYPE_CHECKING:
    from kfpkit.kfp.run import Run


def failed(name: str, error: str) -> Task:
    return Task(name, "work", State.FAILED, error=error)


def ending(run: Run) -> str:
    with pytest.raises(KitError) as raised:
        command.fail(run)
    return str(raised.value)


def test_each_failed_row_has_a_label_and_a_block_of_its_own(run: Run) -> None:
    rounds = [failed(f"for-loop-1[{n}]/work", f"Traceback\nValueError: {n}") for n in (1, 4)]
    run.tasks = [Task("for-loop-1/work", "work", State.FAILED, rounds=rounds), failed("last", "")]
    assert ending(run) == (
        "3 tasks failed:\n"
        "  for-loop-1[1]/work:\n    Traceback\n    ValueError: 1\n"
        "  for-loop-1[4]/work:\n    Traceback\n    ValueError: 4\n"
        "  last:\n    (it printed nothing)\n"
        "The report has more."
    )


def test_one_failed_row_is_named_and_cannot_command_the_terminal(run: Run) -> None:
    run.tasks = [failed("for-loop-1[1]/work", "\n".join(map(str, range(9))) + "\x1b[2J")]
    assert ending(run) == (
        "task for-loop-1[1]/work failed:\n"
        "    3\n    4\n    5\n    6\n    7\n    8\\u001b[2J\nThe report has more."
    )


def test_many_failed_rows_are_counted(run: Run) -> None:
    run.tasks = [failed(f"t-{n}", f"error {n}") for n in range(17)]
    said = ending(run)
    assert said.startswith("17 tasks failed")
    assert "error 4\n  and 12 more\n" in said
    assert "error 5" not in said


def test_what_the_run_says_beside_its_tasks_is_said(run: Run) -> None:
    run.tasks = [failed("a", "bad")]
    run.error = "KFP says that it succeeded"
    assert "bad\nKFP says that it succeeded\nThe report" in ending(run)


def test_a_run_that_ends_without_a_reason_says_so(run: Run) -> None:
    run.tasks = []
    assert ending(run) == "the run failed: nothing says why."
    run.state = State.CANCELLED
    assert ending(run) == "the run was cancelled: nothing says why."


def test_every_metric_is_printed_whole_with_its_round(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    values = {"near": 0.99996, "[bold]accuracy": 0.9855072463768116, "w" * 60: 69.0}
    rounds = [
        Task(
            f"for-loop-1[{n}]/work",
            "work",
            State.SUCCEEDED,
            artifacts=[Artifact("m", "system.Metrics", "", "", values)],
        )
        for n in range(2)
    ]
    run.tasks = [Task("for-loop-1/work", "work", State.SUCCEEDED, rounds=rounds)]
    command.tell(run)
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert rows[1:] == [
        [f"for-loop-1[{n}]/work", name, text]
        for n in range(2)
        for name, text in zip(values, ("0.99996", "0.9855072463768116", "69"), strict=True)
    ]
