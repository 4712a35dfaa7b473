"""Commands on Google Cloud."""

from __future__ import annotations

from typing import Annotated

import typer

from kfpkit.cli.install import Context  # noqa: TC001 - typer reads annotations


def register(app: typer.Typer) -> None:
    """Add `kfpkit gke-preflight`."""
    app.command("gke-preflight")(gke_preflight)


def gke_preflight(
    overlay: Annotated[
        str, typer.Option(envvar="OVERLAY", help="A folder of manifests/overlays, or a path.")
    ] = "gke",
    context: Context = "",
) -> None:
    """Say whether a GKE cluster and its project are ready; exit code 1 unless they are."""
    from kfpkit.kfp.target import choose
    from kfpkit.operations import gke

    gke.require(choose(overlay=overlay, context=context))
