"""The rows of a run on this machine: its tasks, and in a loop one row for each round."""

from __future__ import annotations

import threading
from bisect import insort
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kfpkit.kfp.run import ROUND, State, Task, sum_up, task_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Rows:
    """Finds and changes rows by their place, `for-loop-1[0]/work`; several threads may do so.

    Args:
        tasks: The tasks of the run; rounds are added to them.
        on_change: Is told of each task whose state changed, and of each round that failed.
    """

    def __init__(self, tasks: list[Task], on_change: Callable[[Task], None]) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._on_change = on_change
        self._lock = threading.RLock()

    def begin(self, place: str) -> Task:
        """Return the row at a place, running from now on."""
        with self._lock:
            row = self._row(place)
            row.started = datetime.now(UTC)
            self._change(row, State.RUNNING)
            return row

    def end(self, row: Task, state: State, error: str = "") -> None:
        """Give a row the state that it ends with."""
        with self._lock:
            row.finished = datetime.now(UTC)
            row.error = error
            self._change(row, state)

    def mark(self, place: str, state: State) -> None:
        """Give the row at a place, or all rows below it, a state without running them."""
        with self._lock:
            for inside in self._inside(place):
                self._change(self._row(place + inside), state)

    def open_rounds(self, place: str, count: int, inside: list[str]) -> None:
        """Add the rounds of a loop.

        Args:
            place: The loop's.
            count: How many rounds it has.
            inside: What follows the loop's name in those of its tasks.
        """
        with self._lock:
            for name in inside:
                for number in range(count):
                    self._row(f"{place}[{number}]{name}")

    def close(self, state: State) -> None:
        """Give what has not ended a state: what runs that one, and what has not begun `not run`."""
        with self._lock:
            for task in self._tasks.values():
                for row in list(task.rounds) or [task]:
                    if row.state is State.RUNNING:
                        self.end(row, state)
                    elif row.state is State.PENDING:
                        self._change(row, State.NOT_RUN)

    def _inside(self, place: str) -> Iterator[str]:
        """Yield what follows a place in the names of the tasks there; of a task itself nothing."""
        outer = task_of(place)
        for name in self._tasks:
            if name == outer or name.startswith(f"{outer}/"):
                yield name.removeprefix(outer)

    def _row(self, place: str) -> Task:
        task = self._tasks[task_of(place)]
        if place == task.name:
            return task
        for row in task.rounds:
            if row.name == place:
                return row
        row = Task(
            name=place,
            component=task.component,
            display_name=task.display_name,
            depends_on=task.depends_on,
            input_artifacts=task.input_artifacts,
        )
        insort(task.rounds, row, key=lambda one: [int(n) for n in ROUND.findall(one.name)])
        return row

    def _change(self, row: Task, state: State) -> None:
        row.state = state
        task = self._tasks[task_of(row.name)]
        if row is task:
            self._on_change(row)
            return
        before = task.state
        sum_up(task)
        if state is State.FAILED:
            self._on_change(row)
        if task.state is not before:
            self._on_change(task)
