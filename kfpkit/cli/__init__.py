"""The command line `kfpkit`: each module of this package adds the commands of one subject."""

from __future__ import annotations

import os
import pkgutil
import sys
from importlib import import_module
from typing import Annotated

import typer

from kfpkit.core import console, signals
from kfpkit.core.errors import KitError, refusals_of

#: By these names the kit calls the ports that it opens.
THIS_MACHINE = ("localhost", "127.0.0.1")

#: Exit code of a command that the user interrupted.
INTERRUPTED = 130

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


def _spare_this_machine() -> None:
    """Keep what goes to a port of this machine, as a forwarded one, from the user's proxy."""
    proxies = ("http_proxy", "https_proxy", "all_proxy")
    if not any(os.environ.get(name) or os.environ.get(name.upper()) for name in proxies):
        return
    names = ("no_proxy", "NO_PROXY")
    # Programs read the one or the other: neither may hide what the user has in the other.
    given = [os.environ.get(name) for name in names]
    for name, own, other in zip(names, given, reversed(given), strict=True):
        spared = [one.strip() for one in (own or other or "").split(",") if one.strip()]
        if "*" not in spared:
            spared += [one for one in THIS_MACHINE if one not in spared]
        os.environ[name] = ",".join(spared)


def main() -> None:
    """Run the command line; a `KitError` becomes one line and exit code 1."""
    signals.unwind()
    _spare_this_machine()
    try:
        with refusals_of():
            _register_all()
            app()
    except KitError as error:
        console.err.print(f"error: {error}", style="bold red", markup=False)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:
        # In a command, typer makes the exit code of an interrupt, and says nothing.
        if isinstance(end, KeyboardInterrupt) or end.code == INTERRUPTED:
            console.err.print("interrupted", style="bold red")
            sys.exit(INTERRUPTED)
        raise
