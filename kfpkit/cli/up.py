"""Everything on a fresh machine."""

from __future__ import annotations

from typing import Annotated

import typer

from kfpkit.cli.run import (  # noqa: TC001 - typer reads annotations at run time
    Arguments,
    Cache,
    PipelineName,
    Runs,
)


def register(app: typer.Typer) -> None:
    """Add `kfpkit up`."""
    app.command("up")(up)


def up(
    pipeline: PipelineName = "penguins",
    arguments: Arguments = None,
    nodes: Annotated[int, typer.Option(min=1, envvar="NODES", help="Nodes of a new cluster.")] = 1,
    timeout: Annotated[
        float, typer.Option(min=1, envvar="TIMEOUT", help="Seconds to wait for all parts of KFP.")
    ] = 1800,
    cache: Cache = True,
    runs: Runs = None,
) -> None:
    """Bring the cluster up, install Kubeflow Pipelines, run a pipeline; say how long each took."""
    import time
    from contextlib import contextmanager
    from typing import TYPE_CHECKING

    from rich.table import Table

    from kfpkit.cli.run import on_cluster
    from kfpkit.cluster import config as cluster
    from kfpkit.cluster import lifecycle
    from kfpkit.core import console, durations, process
    from kfpkit.core.versions import ROOT
    from kfpkit.kfp import pipelines, target
    from kfpkit.operations import installation
    from kfpkit.runs import refusals

    if TYPE_CHECKING:
        from collections.abc import Iterator

    # Before the long phases; the run itself does it again.
    refusals.admit(pipelines.find(pipeline), arguments or [], {})
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
            lifecycle.up(nodes=nodes)
        with phase("install"):
            installation.install(target.choose("", cluster.CONTEXT), timeout=timeout)
        with phase("run"):
            on_cluster(pipeline, arguments or [], "kind", runs or ROOT / "runs", cache=cache)
    finally:
        if not process.dry_run():
            table = Table("phase", box=None, pad_edge=False)
            table.add_column("took", justify="right")
            for name, seconds in {**took, "all": sum(took.values())}.items():
                table.add_row(name, durations.write(seconds))
            console.out.print()
            console.out.print(table)
