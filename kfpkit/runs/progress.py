"""Showing a run while it runs: a live table in a terminal, a line a change elsewhere."""

from __future__ import annotations

import math
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table
from rich.text import Text

from kfpkit.core import console, durations
from kfpkit.core.waiting import PLAIN_INTERVAL
from kfpkit.kfp.run import State, task_of
from kfpkit.runs import shown

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import RenderableType

    from kfpkit.kfp.run import Task

#: Sign and style of each state; the sign and the word tell it without the colour.
SIGNS = {
    State.PENDING: ("·", "dim"),
    State.RUNNING: ("▸", "bold cyan"),
    State.SUCCEEDED: ("✓", "green"),
    State.FAILED: ("✗", "bold red"),
    State.SKIPPED: ("»", "dim"),
    State.CANCELLED: ("■", "yellow"),
    State.NOT_RUN: ("-", "dim"),
}


class Progress:
    """The tasks of a run with state and elapsed time, on standard error.

    A task inside loops is one of them, with how many of its rounds are over.

    In a terminal it is one table that keeps itself up to date. Elsewhere each start and each end
    of a task is a line, and a task that takes long is named again every 15 seconds.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._live: Live | None = None
        self._said: dict[str, float] = {}
        self._over = threading.Event()
        self._reminder = threading.Thread(target=self._remind, daemon=True)

    def __enter__(self) -> Progress:
        if console.err.is_terminal:
            self._live = Live(
                get_renderable=self._table,
                console=console.err,
                refresh_per_second=8,
                redirect_stdout=False,
            )
            self._live.start()
        else:
            self._reminder.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()
        else:
            self._over.set()
            self._reminder.join()

    def show(self, tasks: list[Task]) -> None:
        """Show all tasks of a run from now on."""
        self._tasks = {task.name: task for task in tasks}

    def changed(self, task: Task) -> None:
        """Take note that a task has another state; of a round it is said only that it failed."""
        is_round = task_of(task.name) != task.name
        if not is_round:
            self._tasks[task.name] = task
        if not self._live and (not is_round or task.state is State.FAILED):
            self._say(task)

    def _table(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, show_header=False)
        for task in list(self._tasks.values()):
            sign, style = SIGNS[task.state]
            table.add_row(
                Text(sign, style),
                Text(shown.plain(task.name)),
                Text(_state(task), style),
                elapsed(task),
            )
        return table

    def _say(self, task: Task) -> None:
        sign, style = SIGNS[task.state]
        line = f"{sign} {shown.plain(task.name)}: {_state(task)}"
        console.err.print(Text(f"{line} {elapsed(task)}".rstrip(), style))
        self._said[task.name] = time.monotonic()

    def _remind(self) -> None:
        while not self._over.wait(1):
            for task in list(self._tasks.values()):
                said = self._said.get(task.name, math.inf)
                if task.state is State.RUNNING and time.monotonic() - said >= PLAIN_INTERVAL:
                    self._say(task)


def _state(task: Task) -> str:
    if not task.rounds:
        return f"{task.state} (from the cache)" if task.cached else task.state
    over = sum(row.state not in (State.PENDING, State.RUNNING) for row in task.rounds)
    failed = sum(row.state is State.FAILED for row in task.rounds)
    rounds = f"{task.state}, {over}/{len(task.rounds)} rounds"
    return f"{rounds}, {failed} failed" if failed else rounds


def elapsed(task: Task) -> str:
    """Return how long a task has run or took; empty before its start and at it."""
    if not task.started:
        return ""
    seconds = ((task.finished or datetime.now(UTC)) - task.started).total_seconds()
    return durations.write(seconds) if task.finished or seconds >= 0.1 else ""
