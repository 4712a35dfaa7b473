"""Commands on the Secrets of an installation."""

from __future__ import annotations

from typing import Annotated

import typer

from kfpkit.cli.install import Context, Overlay  # noqa: TC001 - typer reads annotations


def register(app: typer.Typer) -> None:
    """Add `kfpkit rotate-secrets`."""
    app.command("rotate-secrets")(rotate_secrets)


def rotate_secrets(
    overlay: Overlay = "",
    context: Context = "",
    timeout: Annotated[
        float, typer.Option(min=1, envvar="TIMEOUT", help="Seconds to wait after each restart.")
    ] = 900,
    despite_runs: Annotated[
        bool,
        typer.Option(
            "--despite-runs", envvar="DESPITE_RUNS", help="Also while runs are under way."
        ),
    ] = False,
) -> None:
    """Give database and object store new passwords and keys, and restart who uses them."""
    from kfpkit.kfp.target import choose
    from kfpkit.operations.rotate import rotate

    rotate(choose(overlay=overlay, context=context), timeout=timeout, despite_runs=despite_runs)
