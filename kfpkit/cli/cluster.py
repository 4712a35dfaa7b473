"""Commands on the kind cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from kfpkit.cli.install import Yes  # noqa: TC001 - typer reads annotations at run time


def register(app: typer.Typer) -> None:
    """Add `kfpkit cluster`."""
    cluster = typer.Typer(help="The local kind cluster.", no_args_is_help=True)
    cluster.command("up")(up)
    cluster.command("down")(down)
    cluster.command("status")(status)
    app.add_typer(cluster, name="cluster")


def up(
    nodes: Annotated[int, typer.Option(min=1, envvar="NODES", help="Nodes of a new cluster.")] = 1,
) -> None:
    """Bring the cluster up: check this machine, make what is missing, wait until it is ready."""
    from kfpkit.cluster import lifecycle

    lifecycle.up(nodes=nodes)


def down(yes: Yes = False) -> None:
    """Remove the cluster and all it holds."""
    from kfpkit.cluster import lifecycle
    from kfpkit.cluster.config import NAME
    from kfpkit.core import console, process

    state, _ = lifecycle.status()
    if state is lifecycle.State.ABSENT:
        console.say(f"there is no cluster {NAME}")
    elif not yes and not process.dry_run():
        typer.confirm(f"Remove the cluster {NAME} with all runs and artifacts in it?", abort=True)
    lifecycle.down()


def status() -> None:
    """Say what is there of the cluster; exit code 1 unless it is complete."""
    from kfpkit.cluster import lifecycle
    from kfpkit.core import console

    state, text = lifecycle.status()
    console.out.print(f"{state}: {text}", markup=False)
    if state is not lifecycle.State.COMPLETE:
        raise typer.Exit(1)
