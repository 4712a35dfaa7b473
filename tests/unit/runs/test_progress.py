from __future__ import annotations

from typing import TYPE_CHECKING

from kfpkit.kfp.run import State, Task
from kfpkit.runs.progress import Progress

if TYPE_CHECKING:
    import pytest


def test_a_loop_is_one_line_with_its_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    rounds = [
        Task(f"for-loop-1[{n}]/work", "work", State.SUCCEEDED if n else State.FAILED)
        for n in range(3)
    ]
    task = Task("for-loop-1/work", "work", State.RUNNING, rounds=rounds)
    rounds[2].state = State.RUNNING
    with Progress() as progress:
        progress.show([task])
        for row in rounds:
            progress.changed(row)
        progress.changed(task)
    assert capsys.readouterr().err.splitlines() == [
        "✗ for-loop-1[0]/work: failed",
        "▸ for-loop-1/work: running, 2/3 rounds, 1 failed",
    ]


def test_a_name_does_not_reach_the_terminal_as_a_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress() as progress:
        progress.changed(Task("a\x1b[2Jb", "a", State.SUCCEEDED))
    assert capsys.readouterr().err == "✓ a\\u001b[2Jb: succeeded\n"
