"""Following a run that goes on elsewhere, on a cluster or on Vertex AI, up to its report."""

from __future__ import annotations

from datetime import UTC, datetime
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from kfpkit.cli import ending
from kfpkit.core import console
from kfpkit.core.errors import KitError, refusals_of
from kfpkit.kfp.run import State
from kfpkit.runs.local import run as local
from kfpkit.runs.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kfpkit.kfp.run import Run


def require_room(runs: Path) -> None:
    """Refuse a folder of runs that cannot be written, before the run is there."""
    with refusals_of(runs, ending.OTHER_FOLDER):
        runs.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=runs).close()


def follow(
    run: Callable[[Path, Progress], Run],
    runs: Path,
    name: str,
    *,
    run_id: str,
    link: str,
    place: str,
    by_hand: Mapping[str, str],
) -> Run:
    """Follow a run to its end and write its report; where that is cut short, say what is left.

    Args:
        run: Follows it, given the run's own folder and whom to tell.
        runs: Takes that folder.
        name: What the folder is called by.
        run_id: The run's ID.
        link: Where it is shown; empty where it is not.
        place: Where it goes on, for people: "the cluster".
        by_hand: The commands with which a person goes on, by what they do.
    """
    at = f": {link}" if link else ""
    console.say(f"run {run_id}{at}")
    known: Run | None = None
    try:
        with refusals_of(runs, ending.OTHER_FOLDER):
            folder = local.new_folder(runs, name, datetime.now(UTC))
        with refusals_of(folder, ending.OTHER_FOLDER):
            try:
                with Progress() as progress:
                    known = run(folder, progress)
            except local.InterruptedRun as interrupted:
                known = interrupted.run
                ending.report(known, folder)
                raise
            ending.report(known, folder)
    except (KeyboardInterrupt, KitError, OSError):
        if known and known.state not in (State.PENDING, State.RUNNING):
            console.say(f"the run is over ({known.state}){at}")
            by_hand = {"make its report again": by_hand["go on from here"]}
        else:
            console.say(f"the run goes on on {place}{at}")
        for what, command in by_hand.items():
            console.say(f"    {what}: {command}")
        raise
    return known
