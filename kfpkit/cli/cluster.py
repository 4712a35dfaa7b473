"""Commands on the kind cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kfpkit.cli.install import Yes  # noqa: TC001 - typer reads annotations at run time

KindConfig = Annotated[
    Path | None,
    typer.Option(
        "--kind-config",
        envvar=["KFPKIT_KIND_CONFIG", "KIND_CONFIG"],
        help="kind's configuration; default the checkout's.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add `kfpkit cluster`."""
    cluster = typer.Typer(help="The local kind cluster.", no_args_is_help=True)
    cluster.command("up")(up)
    cluster.command("down")(down)
    cluster.command("status")(status)
    app.add_typer(cluster, name="cluster")


def up(
    nodes: Annotated[int, typer.Option(min=1, envvar="NODES", help="Nodes of a new cluster.")] = 1,
    images: Annotated[
        str, typer.Option(envvar="IMAGES", help="upstream, mirror or packages; default: find out.")
    ] = "",
    mirror: Annotated[str, typer.Option(envvar="MIRROR", help="The registry of `mirror`.")] = "",
    yes: Yes = False,
    kind_config: KindConfig = None,
) -> None:
    """Bring the cluster up: check this machine, make what is missing, wait until it is ready."""
    from kfpkit.cluster import config, lifecycle
    from kfpkit.core import console

    kind = config.load(kind_config)
    asked = console.consent(yes=yes)
    lifecycle.up(kind, nodes=nodes, source=images, mirror=mirror, confirm=asked)


def down(yes: Yes = False, kind_config: KindConfig = None) -> None:
    """Remove the cluster and all it holds."""
    from kfpkit.cluster import config, lifecycle
    from kfpkit.core import console, process

    kind = config.load(kind_config)
    state, _ = lifecycle.status(kind)
    if state is lifecycle.State.ABSENT:
        console.say(f"there is no cluster {kind.name}")
    elif not yes and not process.dry_run():
        typer.confirm(
            f"Remove the cluster {kind.name} with all runs and artifacts in it?", abort=True
        )
    lifecycle.down(kind)


def status(kind_config: KindConfig = None) -> None:
    """Say what is there of the cluster; exit code 1 unless it is complete."""
    from kfpkit.cluster import config, lifecycle
    from kfpkit.core import console

    state, text = lifecycle.status(config.load(kind_config))
    console.out.print(f"{state}: {text}", markup=False)
    if state is not lifecycle.State.COMPLETE:
        raise typer.Exit(1)
