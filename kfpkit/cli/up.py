"""Everything on a fresh machine."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from kfpkit.cli import linting, run_cluster
from kfpkit.cli.options import (
    KIND,
    Args,
    Cache,
    Images,
    KindConfig,
    Lint,
    MirrorName,
    Nodes,
    Overlay,
    PipelineName,
    Runs,
    Timeout,
    Where,
    Words,
    Yes,
    parameters,
)
from kfpkit.cli.targets import bring_up, choose
from kfpkit.cluster import config
from kfpkit.core import console, durations, process
from kfpkit.kfp import pipelines
from kfpkit.kube import render
from kfpkit.lint import rule
from kfpkit.operations import installation
from kfpkit.runs import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer()


@app.command()
def up(
    pipeline: PipelineName = "penguins",
    arguments: Words = None,
    args: Args = "",
    nodes: Nodes = 1,
    images: Images = "",
    mirror: MirrorName = "",
    overlay: Overlay = "",
    kind_config: KindConfig = None,
    timeout: Timeout = 1800,
    cache: Cache = True,
    runs: Runs = None,
    yes: Yes = False,
    lint: Lint = True,
) -> None:
    """Bring the cluster up, install KFP, run a pipeline; say how long each took."""
    # Before the long phases.
    found = pipelines.find(pipeline)
    spec, given = refusals.admit(found, parameters(arguments, args), {})
    if lint:
        linting.admit(found, *sorted(rule.KFP))
    if overlay:
        render.overlay(overlay)
    kind = config.load(kind_config)
    context = kind.context if overlay else ""
    where = Where(KIND, overlay=overlay, context=context, kind_config=kind_config)
    took: dict[str, float] = {}

    @contextmanager
    def phase(name: str) -> Iterator[None]:
        console.say(f"== {name}")
        began = time.monotonic()
        try:
            yield
        finally:
            took[name] = time.monotonic() - began

    try:
        with phase("cluster-up"):
            bring_up(kind, nodes=nodes, images=images, mirror=mirror, yes=yes)
        with phase("install"):
            installation.install(choose(where), timeout=timeout)
        with phase("run"):
            run_cluster.run(
                found,
                spec,
                given,
                runs or Path("runs"),
                where,
                host="",
                experiment="",
                cache=cache,
                lint=lint,
            )
    finally:
        if not process.dry_run():
            table = Table("phase", box=None, pad_edge=False)
            table.add_column("took", justify="right")
            for name, seconds in {**took, "all": sum(took.values())}.items():
                table.add_row(name, durations.write(seconds))
            console.out.print()
            console.out.print(table)
