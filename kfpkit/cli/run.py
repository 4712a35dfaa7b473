"""Running a pipeline, on this machine, on a cluster or on Vertex AI."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import typer

from kfpkit.cli.options import (
    LOCAL,
    Args,
    Cache,
    Experiment,
    Host,
    Lint,
    PipelineName,
    Runs,
    Where,
    Words,
    installation,
    parameters,
)
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import pipelines
from kfpkit.runs import refusals

app = typer.Typer()


@app.command()
@installation(default=LOCAL)
def run(
    where: Where,
    pipeline: PipelineName = "penguins",
    arguments: Words = None,
    args: Args = "",
    host: Host = "",
    experiment: Experiment = "",
    cache: Cache = True,
    runs: Runs = None,
    lint: Lint = True,
) -> None:
    """Run a pipeline, show its progress and metrics, and write a report."""
    here = where.target == LOCAL
    on_vertex = None if here else import_module("kfpkit.cli.targets").vertex(where, host)
    if here and (named := where.context or where.overlay or host):
        raise BadInputError(
            f"the run is on this machine, and {named} is of a cluster",
            "Say which one with TARGET=, or leave it out",
        )
    found = pipelines.find(pipeline)
    names = None if here or on_vertex else {"experiment": experiment}
    spec, given = refusals.admit(found, parameters(arguments, args), names)
    runs = runs or Path("runs")
    # Not before: a refusal does without what these import, and a run on this machine without what
    # belongs to a cluster.
    if here:
        import_module("kfpkit.cli.run_local").run(found, spec, given, runs, lint=lint)
    elif on_vertex:
        import_module("kfpkit.cli.on_vertex").run(
            on_vertex, found, spec, given, runs, experiment=experiment, cache=cache, lint=lint
        )
    else:
        import_module("kfpkit.cli.run_cluster").run(
            found,
            spec,
            given,
            runs,
            where,
            host=host,
            experiment=experiment,
            cache=cache,
            lint=lint,
        )
