"""Commands on the kind cluster."""

from __future__ import annotations

import typer

from kfpkit.cli.options import Images, KindConfig, MirrorName, Nodes, Yes
from kfpkit.cli.targets import bring_up, kind
from kfpkit.cluster import lifecycle
from kfpkit.core import console, process

app = typer.Typer()
cluster = typer.Typer(help="The local kind cluster.", no_args_is_help=True)
app.add_typer(cluster, name="cluster")


@cluster.command()
def up(
    nodes: Nodes = 1,
    images: Images = "",
    mirror: MirrorName = "",
    kind_config: KindConfig = None,
    yes: Yes = False,
) -> None:
    """Bring the cluster up: check this machine, make what is missing, wait until it is ready."""
    bring_up(kind(kind_config), nodes=nodes, images=images, mirror=mirror, yes=yes)


@cluster.command()
def down(yes: Yes = False, kind_config: KindConfig = None) -> None:
    """Remove the cluster and all it holds."""
    chosen = kind(kind_config)
    state, _ = lifecycle.status(chosen)
    if state is lifecycle.State.ABSENT:
        console.say(f"there is no cluster {chosen.name}")
    elif not yes and not process.dry_run():
        typer.confirm(
            f"Remove the cluster {chosen.name} with all runs and artifacts in it?", abort=True
        )
    lifecycle.down(chosen)


@cluster.command()
def status(kind_config: KindConfig = None) -> None:
    """Say what is there of the cluster; exit code 1 unless it is complete."""
    state, text = lifecycle.status(kind(kind_config))
    console.out.print(f"{state}: {text}", markup=False)
    if state is not lifecycle.State.COMPLETE:
        raise typer.Exit(1)
