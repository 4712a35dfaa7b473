"""Removing old runs."""

from __future__ import annotations

from typing import Annotated

import typer

from kfpkit.cli.install import Context, Overlay, Yes  # noqa: TC001 - typer reads them
from kfpkit.core import durations


def register(app: typer.Typer) -> None:
    """Add `kfpkit prune`."""
    app.command("prune")(prune)


def prune(
    older_than: Annotated[
        str,
        typer.Option(envvar="OLDER_THAN", help="Age of a run since its end: 12h, 30d, 8w."),
    ] = "",
    keep: Annotated[
        int,
        typer.Option(
            min=0, envvar="KEEP", help="How many of each pipeline's newest runs stay at any age."
        ),
    ] = 0,
    experiment: Annotated[
        str, typer.Option(envvar="EXPERIMENT", help="Only runs of this experiment.")
    ] = "",
    apply: Annotated[
        bool, typer.Option("--apply", envvar="APPLY", help="Remove; without it, only show.")
    ] = False,
    yes: Yes = False,
    overlay: Overlay = "",
    context: Context = "",
) -> None:
    """Show which runs are old, with all that belongs to them alone; remove them if told."""
    from kfpkit.core import process
    from kfpkit.kfp.target import around, choose
    from kfpkit.operations.prune import plan, run

    rule = plan.Rule(durations.parse(older_than, "OLDER_THAN", units=plan.UNITS), keep, experiment)
    run.prune(
        around() or choose(overlay, context),
        rule,
        apply=apply and not process.dry_run(),
        confirm=lambda text: yes or typer.confirm(text),
    )
