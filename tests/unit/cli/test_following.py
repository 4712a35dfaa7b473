"""Following a run that goes on elsewhere: what is said of it where that is cut short."""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from kfpkit.cli import ending, following
from kfpkit.core.errors import KitError
from kfpkit.kfp.run import Run, State
from kfpkit.runs.local.run import InterruptedRun

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kfpkit.runs.progress import Progress

REPORT, CANCEL = "make report RUN=r1", "make cancel RUN=r1"
OVER = ["the run is over (succeeded): http://r1", f"    make its report again: {REPORT}"]
GOES_ON = [
    "the run goes on on the moon: http://r1",
    f"    go on from here: {REPORT}",
    f"    end it: {CANCEL}",
]


def run(state: State) -> Run:
    return Run("r1", "demo", "", "moon", state, datetime(2026, 3, 29, 12, tzinfo=UTC))


def raising(error: BaseException) -> Callable[..., Run]:
    def act(*_: object) -> Run:
        raise error

    return act


def said(
    runs: Path, capfd: pytest.CaptureFixture[str], act: Callable[[Path, Progress], Run]
) -> tuple[BaseException, list[str]]:
    """Return what a run that is followed ends with, and what is said after its name."""
    with pytest.raises((KeyboardInterrupt, KitError, OSError)) as raised:
        following.follow(
            act,
            runs,
            "demo",
            run_id="r1",
            link="http://r1",
            place="the moon",
            by_hand={"go on from here": REPORT, "end it": CANCEL},
        )
    return raised.value, capfd.readouterr().err.splitlines()[1:]


@pytest.mark.parametrize(
    "error",
    [
        KitError("no answer"),
        OSError(errno.ENOSPC, "No space left on device"),
        KeyboardInterrupt(),
        InterruptedRun(run(State.RUNNING)),
    ],
)
def test_a_run_that_is_not_over_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], error: BaseException
) -> None:
    assert said(tmp_path, capfd, raising(error))[1] == GOES_ON


def test_a_run_that_is_over_does_not_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    raised, lines = said(tmp_path, capfd, raising(InterruptedRun(run(State.SUCCEEDED))))
    assert isinstance(raised, KeyboardInterrupt)
    assert lines == OVER
    assert list(tmp_path.glob("*/run.json"))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("state", [State.SUCCEEDED, State.RUNNING])
def test_a_report_that_cannot_be_written(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    state: State,
) -> None:
    monkeypatch.setattr(ending, "report", raising(error))
    interrupted = state is State.RUNNING
    act = raising(InterruptedRun(run(state))) if interrupted else lambda *_: run(state)
    raised, lines = said(tmp_path, capfd, act)
    assert lines == (GOES_ON if interrupted else OVER)
    if isinstance(error, OSError):
        assert isinstance(raised, KitError)
        assert "RUNS=folder" in raised.do
