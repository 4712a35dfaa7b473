from __future__ import annotations

import re

import pytest

from kfpkit.kfp.run import Phase, Run, State, Task
from kfpkit.runs.report import timeline
from tests.support.workflows import START, at


def ran(name: str, begin: float, end: float, state: State = State.SUCCEEDED) -> Task:
    return Task(name, name, state, at(begin), at(end))


def a_run(*tasks: Task, seconds: float = 100) -> Run:
    return Run(
        "1",
        "demo",
        "v",
        "kind",
        State.SUCCEEDED,
        START,
        started=START,
        finished=at(seconds),
        tasks=list(tasks),
    )


def bars(path: str) -> list[tuple[float, float, float]]:
    """Return left side, upper side and width of each bar of a path."""
    found = re.findall(r"M([\d.-]+) ([\d.-]+)h([\d.]+)v[\d.]+h-[\d.]+z", path)
    return [(float(x), float(y), float(wide)) for x, y, wide in found]


def test_a_task_is_drawn_where_its_time_went() -> None:
    task = ran("a", 20, 60)
    task.spend(Phase.WAITING, at(10), at(20))
    task.spend(Phase.DRIVER, at(20), at(25))
    task.spend(Phase.WORK, at(30), at(60))
    drawn = timeline.timeline(a_run(task))
    assert drawn
    paths = drawn.charts["a"].paths
    assert {kind: bars(path) for kind, path in paths.items()} == {
        "rest": [(200, 0, 400)],
        "waiting": [(100, 0, 100)],
        "driver": [(200, 0, 50)],
        "work": [(300, 0, 300)],
    }
    assert list(paths) == drawn.kinds, "what is drawn over another comes after it"


def test_what_failed_is_told_apart_and_never_too_thin_to_see() -> None:
    known, unknown = ran("a", 0, 50, State.FAILED), ran("b", 50, 50.001, State.FAILED)
    known.spend(Phase.WORK, at(40), at(50))
    drawn = timeline.timeline(a_run(known, unknown))
    assert drawn
    assert bars(drawn.charts["a"].paths["bad"]) == [(400, 0, 100)]
    assert bars(drawn.charts["b"].paths["bad"]) == [(500, 0, timeline.LEAST_BAD)]


@pytest.mark.parametrize("count", [1, 2, 40, 400])
def test_rounds_at_the_same_time_lie_below_each_other_and_all_are_drawn(count: int) -> None:
    loop = Task("loop/a", "a", State.SUCCEEDED)
    loop.rounds = [ran(f"loop[{n}]/a", 0, 90) for n in range(count)]
    loop.rounds += [ran(f"loop[{count}]/a", 95, 100)]
    for row in loop.rounds:
        row.spend(Phase.WAITING, START, row.started)
    drawn = timeline.timeline(a_run(loop))
    assert drawn
    chart = drawn.charts["loop/a"]
    found = bars(chart.paths["rest"])
    assert len({upper for _, upper, _ in found[:-1]}) == count
    assert found[-1][:2] == (950, 0), "a round that begins later has the first lane again"
    assert chart.height <= timeline.MOST
    assert "waiting" not in chart.paths, "it would hide the other rounds"


def test_rounds_one_after_another_take_one_lane() -> None:
    loop = Task("loop/a", "a", State.SUCCEEDED)
    loop.rounds = [ran(f"loop[{n}]/a", n, n + 1) for n in range(400)]
    drawn = timeline.timeline(a_run(loop, seconds=400))
    assert drawn
    assert {upper for _, upper, _ in bars(drawn.charts["loop/a"].paths["rest"])} == {0}


def test_parts_of_a_loop_are_those_of_the_median_round() -> None:
    loop = Task("loop/a", "a", State.SUCCEEDED)
    loop.rounds = [ran(f"loop[{n}]/a", 0, n) for n in (2, 90, 4)]
    for row in loop.rounds[:2]:
        row.spend(Phase.START, START, at(1))
    for row in loop.rounds:
        row.spend(Phase.WORK, row.started, row.finished)
    assert timeline.split(loop) == {"start": 1, "work": 4}
    assert timeline.slowest(loop) is loop.rounds[1]
    assert timeline.slowest(Task("b", "b")) is None


def test_of_a_run_of_which_no_time_is_known_nothing_is_drawn() -> None:
    assert timeline.timeline(a_run()) is None
    assert timeline.timeline(a_run(Task("a", "a"), Task("b", "b", started=START))) is None
    assert timeline.timeline(a_run(ran("a", 0, 0), seconds=0)) is None


def test_a_run_that_goes_on_is_drawn_as_far_as_it_is_known() -> None:
    run = a_run(ran("a", 0, 50), Task("b", "b", State.RUNNING, at(50)))
    run.finished = None
    drawn = timeline.timeline(run)
    assert drawn
    assert bars(drawn.charts["a"].paths["rest"]) == [(0, 0, timeline.WIDTH)]
    assert list(drawn.charts) == ["a"]


@pytest.mark.parametrize(
    ("seconds", "last"),
    [
        (0.05, "0"),
        (0.7, "0.6 s"),
        (7, "6 s"),
        (59, "50 s"),
        (100, "90 s"),
        (3000, "50 min"),
        (9000, "150 min"),
        (90000, "24 h"),
        (86400 * 3.5, "3 d"),
        (86400 * 400, "335 d"),
    ],
)
def test_the_scale_has_few_marks(seconds: float, last: str) -> None:
    marks = timeline._marks(seconds)
    assert 1 <= len(marks) <= 6
    assert marks[0][0] == 0
    assert (marks[0][1], marks[-1][1]) == ("0", last)
    assert all(0 <= at <= 100 for at, _ in marks)


def test_whole_seconds_are_not_given_more_digits_than_they_were_measured_with() -> None:
    assert [timeline.spent(s) for s in (0, 3.0, 3.25, 0.04, 75)] == [
        "0 s",
        "3 s",
        "3.2 s",
        "0.0 s",
        "1 min 15 s",
    ]


def test_bars_of_a_run_without_a_start_begin_with_the_first_task() -> None:
    run = a_run(ran("a", 10, 20))
    run.started = None
    run.finished = None
    drawn = timeline.timeline(run)
    assert drawn
    assert bars(drawn.charts["a"].paths["rest"])[0][0] == 0
