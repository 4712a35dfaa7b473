"""The command line `kfpkit`: each module of this package adds the commands of one subject."""

from __future__ import annotations

import os
import pkgutil
import sys
from importlib import import_module
from typing import Annotated

import typer

from kfpkit import console
from kfpkit.errors import KitError

app = typer.Typer(
    name="kfpkit",
    help="Self-hosted Kubeflow Pipelines, with every Kubernetes operation made explicit.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _options(
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", envvar="DRY_RUN", help="Print the commands, run none of them."),
    ] = False,
) -> None:
    if dry_run:
        os.environ["DRY_RUN"] = "1"


def _register_all() -> None:
    """Import every module of this package; each adds its commands to `app` in `register`."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}").register(app)


def main() -> None:
    """Run the command line; a `KitError` becomes one line and exit code 1."""
    _register_all()
    try:
        app()
    except KitError as error:
        console.err.print(f"error: {error}", style="bold red", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.err.print("interrupted", style="bold red")
        sys.exit(130)
