"""Ending a run that goes on."""

from __future__ import annotations

from importlib import import_module

import typer

from kfpkit.cli.options import Host, RunId, Where, installation
from kfpkit.cli.targets import find, vertex
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import api

app = typer.Typer()


@app.command()
@installation()
def cancel(where: Where, run: RunId = "", host: Host = "") -> None:
    """End a run that goes on, on a cluster or on Vertex AI.

    What it has made so far stays.
    """
    if not run:
        raise BadInputError("no run is named", "Add RUN=id")
    if on_vertex := vertex(where, host):
        import_module("kfpkit.cli.on_vertex").cancel(on_vertex, run)
        return
    with find(where, host) as place:
        if process.dry_run():
            console.say(f"would end the run {run} of {place.host}")
            return
        api.connect(place.host).terminate_run(run)
        console.say(f"the run {run} is being ended")
