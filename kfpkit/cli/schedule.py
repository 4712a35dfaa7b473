"""Recurring runs of a pipeline."""

from __future__ import annotations

from typing import Annotated

import typer

from kfpkit.cli.install import Context, Yes  # noqa: TC001 - typer reads annotations at run time
from kfpkit.cli.run import (  # noqa: TC001 - typer reads annotations at run time
    Arguments,
    Cache,
    Experiment,
    Host,
    PipelineName,
)

Where = Annotated[
    str,
    typer.Option(
        "--target",
        envvar="TARGET",
        help="Where: kind, or the overlay of manifests/overlays of another cluster.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add `kfpkit schedule`."""
    schedule = typer.Typer(help="Recurring runs on a cluster.", no_args_is_help=True)
    schedule.command("set")(put)
    schedule.command("list")(list_)
    schedule.command("delete")(delete)
    app.add_typer(schedule, name="schedule")


def put(
    pipeline: PipelineName,
    arguments: Arguments = None,
    cron: Annotated[
        str, typer.Option(envvar="CRON", help='Six fields, UTC: "0 30 6 * * 1-5".')
    ] = "",
    every: Annotated[
        str, typer.Option(envvar="EVERY", help="Time between two runs: 90s, 15m, 6h, 1d.")
    ] = "",
    name: Annotated[
        str, typer.Option(envvar="SCHEDULE", help="Its name; default that of the pipeline.")
    ] = "",
    target: Where = "kind",
    context: Context = "",
    host: Host = "",
    experiment: Experiment = "",
    cache: Cache = True,
) -> None:
    """Make a recurring run of a pipeline, or replace the one of its name."""
    from dataclasses import replace

    from kfpkit.core import console
    from kfpkit.kfp import pipelines
    from kfpkit.kfp.target import choose
    from kfpkit.runs import place, recurring, refusals, remote, schedule

    when = schedule.when(cron, every)
    found = pipelines.find(pipeline)
    names = {"experiment": experiment, "recurring run": name}
    spec, given = refusals.admit(found, arguments or [], names)
    with place.find(choose(target, context=context), host) as where:
        remote.load_image(where, spec)
        done = recurring.put(
            where.host,
            replace(found, image_prefix=where.target.image_prefix),
            given,
            when,
            name=name or found.name,
            experiment=experiment or found.name,
            cache=cache,
            pipeline_root=where.target.pipeline_root,
        )
    if done:
        console.say(done)


def list_(target: Where = "kind", context: Context = "", host: Host = "") -> None:
    """Show the recurring runs."""
    from rich.table import Column, Table

    from kfpkit.core import console, process
    from kfpkit.kfp.target import choose
    from kfpkit.runs import place, recurring

    with place.find(choose(target, context=context), host) as where:
        if process.dry_run():
            console.say(f"would list the recurring runs of {where.host}")
            return
        found = recurring.listed(where.host)
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


def delete(
    name: Annotated[str, typer.Argument(envvar="SCHEDULE", help="Its name.")] = "",
    target: Where = "kind",
    context: Context = "",
    host: Host = "",
    yes: Yes = False,
) -> None:
    """Delete a recurring run; its runs stay, and those under way are ended."""
    from kfpkit.core import console, process
    from kfpkit.core.errors import BadInputError
    from kfpkit.kfp.target import choose
    from kfpkit.runs import place, recurring

    if not name:
        raise BadInputError(
            "no recurring run is named", "Add SCHEDULE=name; make schedule lists the names"
        )
    with place.find(choose(target, context=context), host) as where:
        if process.dry_run():
            console.say(f"would delete the recurring run {name} of {where.host}")
            return
        found = recurring.named(where.host, name)
        if not yes:
            typer.confirm(
                f"Delete the recurring run {name} of {where.host}, "
                "and end those of its runs that are under way?",
                abort=True,
            )
        recurring.delete(where.host, found)
    console.say(f"deleted the recurring run {name}; its runs stay")
