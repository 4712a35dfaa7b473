"""The command line `kfpkit`: each module of this package has the commands of one subject.

It alone reads settings, from options and from variables of the environment named `KFPKIT_…`; all
else gets them as parameters. A module is imported when one of its commands is used.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from kfpkit.cli.options import DryRun, require_known
from kfpkit.core import console, packages, process, signals
from kfpkit.core.errors import KitError, refusals_of

#: By these names the kit calls the ports that it opens.
THIS_MACHINE = ("localhost", "127.0.0.1")

#: Exit code of a command that the user interrupted.
INTERRUPTED = 130

#: The module of each command, and the first line of its help.
COMMANDS = {
    "run": ("run", "Run a pipeline, show its progress and metrics, and write a report."),
    "lint": ("lint", "Say what of a pipeline would not run on a target, where and why."),
    "report": ("run_cluster", "Follow a run to its end, and write its report."),
    "compare": ("compare", "Compare runs of one backend or several; exit code 1 at a difference."),
    "agree": ("compare", "Run a pipeline on several targets and compare; exit code 1 as compare."),
    "cancel": ("cancel", "End a run that goes on, on a cluster or on Vertex AI."),
    "up": ("up", "Bring the cluster up, install KFP, run a pipeline; say how long each took."),
    "schedule": ("schedule", "Recurring runs, on a cluster or on Vertex AI."),
    "cluster": ("cluster", "The local kind cluster."),
    "install": ("install", "Install Kubeflow Pipelines and wait until every component is ready."),
    "uninstall": ("install", "Remove KFP; its volumes and Secrets stay for the next install."),
    "status": ("install", "Show each component of KFP; exit code 1 unless all are ready."),
    "diff": ("install", "Show what an install would change; exit code 1 if there is anything."),
    "ui": ("install", "Open a port of this machine to the web UI, while pods come and go."),
    "api": ("install", "Open a port of this machine to the API, while pods come and go."),
    "upload": ("upload", "Upload a pipeline, or a new version of one, unless it is there."),
    "rotate-secrets": ("secrets", "Give database and object store new passwords and keys."),
    "gke-preflight": ("gke", "Say whether a GKE cluster and its project are ready."),
    "doctor": ("doctor", "Check an installation from the outside in; exit code 1 at a fault."),
    "explain": ("doctor", "Say in a sentence why a run is stuck or has failed, and what helps."),
    "support-bundle": ("doctor", "Collect logs, events and objects into a file, without secrets."),
    "backup": ("backup", "Back up databases, artifacts, Secrets and recurring runs."),
    "backup-verify": ("backup", "Prove, without a cluster, that a backup can be put back."),
    "backup-resume": ("backup", "Start what a backup or restore was holding when it was killed."),
    "restore": ("backup", "Put a backup back, into an empty cluster or over what is there."),
    "upgrade": ("upgrade", "Bring an installation to another release, or go on with that."),
    "rollback": ("upgrade", "Put back what was there before the last upgrade."),
    "prune": ("prune", "Show which runs are old, with all of theirs; remove them if told."),
    "inventory": ("inventory", "Write down what an installation holds, artifacts by SHA-256."),
    "new": ("new", "The beginning of a pipeline or a component of your own."),
    "inventory-compare": ("inventory", "Compare two inventories; exit code 1 at a difference."),
    "images": ("images", "Images built from package registries."),
    "cache": ("images", "The cache of built images."),
    "compile": ("pipelines", "Write a pipeline's IR YAML, for KFP and for Vertex AI Pipelines."),
    "golden": (
        "pipelines",
        "Rewrite the files derived from the pipelines, from uv.lock and from lint's rules.",
    ),
}


class LazyGroup(TyperGroup):
    """Commands of which only the one that is used is imported; help shows the lines above."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, (_, text) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=text))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put the command itself in the place of its line."""
        if args[0] in COMMANDS:
            module = import_module(f"{__name__}.{COMMANDS[args[0]][0]}")
            self.add_command(typer.main.get_group(module.app).commands[args[0]])
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=LazyGroup,
    name="kfpkit",
    help="Self-hosted Kubeflow Pipelines, with every Kubernetes operation made explicit.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _options(ctx: typer.Context, dry_run: DryRun = False) -> None:
    require_known()
    process.set_dry_run(dry_run)
    ctx.call_on_close(lambda: process.set_dry_run(False))


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


def launch(program: typer.Typer) -> None:
    """Run a command line; a `KitError` becomes one line and exit code 1."""
    signals.unwind()
    packages.import_own()
    _spare_this_machine()
    try:
        with refusals_of():
            program()
    except KitError as error:
        console.err.print(f"error: {error}", style="bold red", markup=False)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:
        # In a command, typer makes the exit code of an interrupt, and says nothing.
        if isinstance(end, KeyboardInterrupt) or end.code == INTERRUPTED:
            console.err.print("interrupted", style="bold red")
            sys.exit(INTERRUPTED)
        raise


def main() -> None:
    """Run the kit's own."""
    launch(app)
