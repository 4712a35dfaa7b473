"""When the tasks of a run did what: bars on the run's own time, for the report.

Only numbers and texts leave this module; the template draws them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from kfpkit.core import durations
from kfpkit.kfp.run import Phase, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from kfpkit.kfp.run import Run, Task

#: Units that the run's whole time takes in a picture.
WIDTH = 1000.0

#: Pixels: the height of a bar, of one among the rounds of a loop, and of all of a loop at most.
BAR, LANE, MOST = 14.0, 12.0, 160.0

#: The least that a bar is wide, so that it is seen; and one of what failed.
LEAST, LEAST_BAD = 1.0, 6.0

#: What a bar is of: a phase; of what failed its work, or all where that is not known; the rest.
BAD, REST = "bad", "rest"
KINDS = (REST, *Phase, BAD)

#: Seconds between two marks of the scale, and how many marks it has at most.
_STEPS = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    21600,
    43200,
)
_MARKS = 6


@dataclass(frozen=True)
class Chart:
    """The bars of a task and its rounds.

    Attributes:
        height: Of the picture, whose width is `WIDTH`.
        paths: SVG path data by the kind of bar, in `KINDS`' order.
    """

    height: float
    paths: dict[str, str]


@dataclass(frozen=True)
class Timeline:
    """The bars of a run's tasks.

    Attributes:
        marks: The scale: where each mark is, in per cent, and its text.
        charts: By task; without those of which no time is known.
        kinds: Those that are to be seen, in `KINDS`' order.
    """

    marks: list[tuple[float, str]]
    charts: dict[str, Chart]
    kinds: list[str]


def timeline(run: Run) -> Timeline | None:
    """Return the bars of a run's tasks; None where nothing is known of its times."""
    ran = [row for row in run.rows if row.started and row.finished]
    ends = [row.finished for row in ran if row.finished]
    starts = [row.started for row in ran if row.started]
    if not ran:
        return None
    begin = min([run.started, *starts]) if run.started else min(starts)
    seconds = (max([run.finished, *ends] if run.finished else ends) - begin).total_seconds()
    if not seconds:
        return None
    charts = {task.name: chart for task in run.tasks if (chart := _chart(task, begin, seconds))}
    seen = {kind for chart in charts.values() for kind in chart.paths}
    return Timeline(_marks(seconds), charts, [kind for kind in KINDS if kind in seen])


def split(task: Task) -> dict[str, float]:
    """Return seconds by phase: a task's own, of one with rounds each the median of a round."""
    if not task.rounds:
        return task.phases
    found = {
        phase: [row.phases[phase] for row in task.rounds if phase in row.phases] for phase in Phase
    }
    return {str(phase): median(seconds) for phase, seconds in found.items() if seconds}


def spent(seconds: float) -> str:
    """Return a part of a task's time; one of whole seconds was not measured any finer."""
    return f"{seconds:.0f} s" if seconds < 10 and seconds % 1 == 0 else durations.write(seconds)


def slowest(task: Task) -> Task | None:
    """Return the round that took longest; None where none took any time that is known."""
    return max(
        (row for row in task.rounds if row.seconds), key=lambda r: r.seconds or 0, default=None
    )


def _chart(task: Task, begin: datetime, seconds: float) -> Chart | None:
    rows = [row for row in task.rounds or [task] if row.started and row.finished]
    if not rows:
        return None
    lanes = _lanes(rows)
    count = 1 + max(lanes)
    pitch = min(LANE, MOST / count) if task.rounds else BAR
    thick = pitch - 1 if pitch > 3 and count > 1 else pitch
    paths: dict[str, list[str]] = {}
    for row, lane in zip(sorted(rows, key=_begin), lanes, strict=True):
        for kind, after, length in _bars(row):
            x = (_begin(row) - begin + timedelta(seconds=after)).total_seconds() / seconds * WIDTH
            wide = max(length / seconds * WIDTH, LEAST_BAD if kind == BAD else LEAST)
            bar = f"M{x:.1f} {lane * pitch:.1f}h{wide:.1f}v{thick:.1f}h-{wide:.1f}z"
            paths.setdefault(kind, []).append(bar)
    height = round(count * pitch, 1)
    return Chart(height, {kind: "".join(paths[kind]) for kind in KINDS if kind in paths})


def _begin(row: Task) -> datetime:
    assert row.started  # noqa: S101 - of those that have not, there is no bar
    return row.started


def _lanes(rows: Sequence[Task]) -> list[int]:
    """Return for each row, by its start, the first lane that is free: no two bars overlap."""
    free: list[datetime] = []
    found = []
    for row in sorted(rows, key=_begin):
        lane = next((n for n, end in enumerate(free) if end <= _begin(row)), len(free))
        end = row.finished or _begin(row)
        free[lane : lane + 1] = [end]
        found.append(lane)
    return found


def _bars(row: Task) -> Iterator[tuple[str, float, float]]:
    """Yield kind, begin and length in seconds; what a round waited would hide other rounds."""
    bad = row.state is State.FAILED
    yield (BAD if bad and Phase.WORK not in row.phases else REST), 0, row.seconds or 0
    for phase, after, length in row.spans:
        if after >= 0 or "[" not in row.name:
            yield (BAD if bad and phase == Phase.WORK else phase), after, length


def _marks(seconds: float) -> list[tuple[float, str]]:
    """Return the marks of the scale; of a day and more one each day, or so many days."""
    days = (durations.DAY * n for n in range(1, int(seconds // durations.DAY) + 2))
    step = next(s for s in (*_STEPS, *days) if seconds / s < _MARKS or s > seconds)
    unit, sign = next(
        (size, sign)
        for size, sign in ((durations.DAY, "d"), (3600, "h"), (60, "min"), (0, "s"))
        if step >= size
    )
    count = int(seconds / step) + 1
    values = [n * step / (unit or 1) for n in range(count)]
    return [
        (round(n * step / seconds * 100, 2), f"{value:g} {sign}" if n else "0")
        for n, value in enumerate(values)
    ]
