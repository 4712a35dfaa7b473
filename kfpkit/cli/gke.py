"""Commands on Google Cloud."""

from __future__ import annotations

import typer

from kfpkit.cli.options import Where, installation
from kfpkit.cli.targets import choose
from kfpkit.operations import gke

app = typer.Typer()


@app.command()
@installation(default="gke")
def gke_preflight(where: Where) -> None:
    """Say whether a GKE cluster and its project are ready.

    The exit code is 1 unless they are.
    """
    gke.require(choose(where))
