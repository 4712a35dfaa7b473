"""Removing old runs."""

from __future__ import annotations

import typer

from kfpkit.cli.options import Apply, Experiment, Keep, OlderThan, Where, Yes, installation
from kfpkit.cli.targets import choose
from kfpkit.core import process
from kfpkit.kfp.target import around
from kfpkit.operations.prune import plan, run

app = typer.Typer()


@app.command()
@installation()
def prune(
    where: Where,
    older_than: OlderThan = "",
    keep: Keep = 0,
    experiment: Experiment = "",
    apply: Apply = False,
    yes: Yes = False,
) -> None:
    """Show which runs are old, with all of theirs; remove them if told."""
    rule = plan.Rule(plan.age(older_than), keep, experiment)
    run.prune(
        around() or choose(where, reads=True),
        rule,
        apply=apply and not process.dry_run(),
        confirm=lambda text: yes or typer.confirm(text),
    )
