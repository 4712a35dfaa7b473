"""Recurring runs of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import Any

import typer
from rich.table import Column, Table

from kfpkit.cli import linting
from kfpkit.cli.options import (
    Args,
    Cache,
    Cron,
    Every,
    Experiment,
    Host,
    KnownSchedule,
    Lint,
    PipelineName,
    ScheduleName,
    Where,
    Words,
    Yes,
    installation,
    parameters,
)
from kfpkit.cli.targets import find, vertex
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import pipelines
from kfpkit.runs import recurring, refusals, remote
from kfpkit.runs import schedule as times

app = typer.Typer()
schedule_app = typer.Typer(
    help="Recurring runs, on a cluster or on Vertex AI.", no_args_is_help=True
)
app.add_typer(schedule_app, name="schedule")


@schedule_app.command("set")
@installation()
def put(
    where: Where,
    pipeline: PipelineName = "penguins",
    arguments: Words = None,
    args: Args = "",
    cron: Cron = "",
    every: Every = "",
    schedule: ScheduleName = "",
    host: Host = "",
    experiment: Experiment = "",
    cache: Cache = True,
    lint: Lint = True,
) -> None:
    """Make a recurring run of a pipeline, or replace the one of its name."""
    when = times.when(cron, every)
    found = pipelines.find(pipeline)
    on_vertex = vertex(where, host)
    names = None if on_vertex else {"experiment": experiment, "recurring run": schedule}
    _, given = refusals.admit(found, parameters(arguments, args), names)
    if on_vertex:
        import_module("kfpkit.cli.on_vertex").put(
            on_vertex,
            found,
            given,
            when,
            schedule or found.name,
            experiment=experiment,
            cache=cache,
            lint=lint,
        )
        return
    with find(where, host) as place:
        if lint:
            linting.admit_on(found, place.target)
        remote.prepare(place, found)
        done = recurring.put(
            place.host,
            replace(found, image_prefix=place.target.image_prefix),
            given,
            when,
            name=schedule or found.name,
            experiment=experiment or found.name,
            cache=cache,
            pipeline_root=place.target.pipeline_root,
        )
    if done:
        console.say(done)


@schedule_app.command("list")
@installation()
def list_(where: Where, host: Host = "") -> None:
    """Show the recurring runs."""
    with _known(where, host) as (kind, at, name):
        if process.dry_run():
            console.say(f"would list the recurring runs of {name}")
            return
        found = kind.listed(at)
    if not found:
        console.say("there are no recurring runs")
        return
    rows = [
        (one.name, str(one.when), "enabled" if one.enabled else "disabled", one.id) for one in found
    ]
    # Nothing may be cut off, also where the output is no terminal.
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    columns = [
        Column(title, min_width=width)
        for title, width in zip(("Name", "When", "State", "ID"), widths, strict=True)
    ]
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(*row)
    console.out.print(table, crop=False)


@schedule_app.command()
@installation()
def delete(
    where: Where,
    schedule: KnownSchedule = "",
    host: Host = "",
    yes: Yes = False,
) -> None:
    """Delete a recurring run; its runs stay, and on a cluster those under way are ended."""
    if not schedule:
        raise BadInputError(
            "no recurring run is named", "Add SCHEDULE=name; make schedule lists the names"
        )
    with _known(where, host) as (kind, at, name):
        if process.dry_run():
            console.say(f"would delete the recurring run {schedule} of {name}")
            return
        found = kind.named(at, schedule)
        if not yes:
            also = ", and end those of its runs that are under way" if kind is recurring else ""
            typer.confirm(f"Delete the recurring run {schedule} of {name}{also}?", abort=True)
        kind.delete(at, found)
    console.say(f"deleted the recurring run {schedule}; its runs stay")


@contextmanager
def _known(where: Where, host: str) -> Iterator[tuple[ModuleType, Any, str]]:
    """Yield what lists and deletes recurring runs, what it is given, and the place for people."""
    if on_vertex := vertex(where, host):
        yield import_module("kfpkit.vertex.schedules"), on_vertex, on_vertex.name
        return
    with find(where, host) as place:
        yield recurring, place.host, place.host
