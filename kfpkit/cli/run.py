"""Running a pipeline."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kfpkit.runs.run import Run

#: Where a pipeline can run.
TARGETS = ("local",)

#: How many lines of a failed task's error the terminal shows; the report has more.
SHOWN_LINES = 6


def register(app: typer.Typer) -> None:
    """Add `kfpkit run`."""
    app.command("run")(run)


def run(
    pipeline: Annotated[str, typer.Argument(help="Module of pipelines/.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="The run's parameters.")
    ] = None,
    target: Annotated[str, typer.Option(help="Where to run: local.")] = "local",
    runs: Annotated[
        Path | None, typer.Option(help="Folder that takes a folder a run; default runs/.")
    ] = None,
) -> None:
    """Run a pipeline, show its progress and metrics, and write a report."""
    from datetime import UTC, datetime

    from google.protobuf import json_format

    from kfpkit import console, pipelines, process
    from kfpkit.errors import BadInputError
    from kfpkit.runs import local, parameters, report
    from kfpkit.runs.progress import Progress
    from kfpkit.versions import ROOT

    if target not in TARGETS:
        raise BadInputError(f"there is no target {target!r}", f"Targets: {', '.join(TARGETS)}")
    func = pipelines.find(pipeline).func
    spec = json_format.MessageToDict(func.pipeline_spec)
    given = parameters.parse(spec, arguments or [])
    runner = local.choose_runner(spec)
    values = " ".join(f"{p.name}={p.value}" for p in given)
    if process.dry_run():
        console.say(f"would run {pipeline} on this machine by {type(runner).__name__}: {values}")
        return
    folder = local.new_folder(runs or ROOT / "runs", pipeline, datetime.now(UTC))
    console.say(f"running {pipeline} on this machine by {type(runner).__name__}: {values}")
    try:
        with Progress() as progress:
            done = local.run(func, spec, given, folder, runner, progress)
    except local.InterruptedRun as interrupted:
        interrupted.run.save(folder)
        console.say(f"report: {_shown(report.write(interrupted.run, folder))}")
        raise
    done.save(folder)
    page = report.write(done, folder)
    _tell(done)
    console.out.print(f"report: {_shown(page)}", markup=False)
    _fail(done)


def _tell(done: Run) -> None:
    """Print the metrics as a table."""
    from rich.table import Table

    from kfpkit import console
    from kfpkit.runs import report

    found = report.metrics(done)
    if not found:
        return
    table = Table("task", "metric", box=None, pad_edge=False, title_justify="left")
    table.add_column("value", justify="right")
    for metric in found:
        table.add_row(metric.task, metric.name, report.number(metric.value))
    console.out.print()
    console.out.print(table)
    console.out.print()


def _fail(done: Run) -> None:
    """Raise where the run failed, with the task's name and the end of its output.

    Raises:
        KitError: It failed.
    """
    from kfpkit.errors import KitError, join_names
    from kfpkit.runs.run import State, duration

    if done.state is State.SUCCEEDED:
        from kfpkit import console

        console.say(f"{done.pipeline} succeeded in {duration(done.seconds)}")
        return
    if not done.failed:
        raise KitError(f"the run failed: {done.error}")
    names = join_names([task.name for task in done.failed])
    lines = "\n".join(
        f"    {line}" for task in done.failed for line in task.error.splitlines()[-SHOWN_LINES:]
    )
    raise KitError(f"task {names} failed; the end of its output:\n{lines}\nThe report has more")


def _shown(path: Path) -> str:
    """Return the path as short as it leads there from the current folder."""
    from pathlib import Path

    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
