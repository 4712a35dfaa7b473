"""Commands on Kubeflow Pipelines itself."""

from __future__ import annotations

import typer
from rich.table import Column, Table

from kfpkit.cli.options import DeleteData, Port, Timeout, Where, Yes, installation
from kfpkit.cli.targets import choose
from kfpkit.core import console, process
from kfpkit.core.errors import join_names
from kfpkit.kube import forward, render
from kfpkit.operations import gke
from kfpkit.operations import installation as lifecycle

app = typer.Typer()


@app.command()
@installation()
def install(where: Where, timeout: Timeout = 1800) -> None:
    """Install Kubeflow Pipelines and wait until every part is ready."""
    target = choose(where)
    if gke.concerns(target) and not process.dry_run():
        gke.require(target)
    lifecycle.install(target, timeout=timeout)


@app.command()
@installation()
def uninstall(where: Where, delete_data: DeleteData = False, yes: Yes = False) -> None:
    """Remove KFP; its volumes and Secrets stay for the next install."""
    target = choose(where, reads=delete_data)
    if delete_data and not yes and not process.dry_run():
        typer.confirm(
            f"Remove the namespace {target.namespace} of {target.context} with all runs, "
            "artifacts and passwords in it?",
            abort=True,
        )
    lifecycle.uninstall(target, delete_data=delete_data)


@app.command()
@installation()
def status(where: Where) -> None:
    """Show each part of KFP; exit code 1 unless all are ready."""
    target = choose(where, reads=True)
    parts = lifecycle.parts(target)
    wanted = {
        d["metadata"]["name"]: d["spec"].get("replicas", 1)
        for d in render.workloads(target.documents)
    }
    # By an operation that holds them, or by hand.
    stopped = [part.name for part in parts if not part.wanted and wanted.get(part.name)]
    # The names of images may not be cut off, also where the output is no terminal.
    images = Column("Image", min_width=max(len(", ".join(part.images)) for part in parts))
    table = Table("Part", "Ready", "Restarts", "State", images, box=None, header_style="bold")
    for part in parts:
        ready = f"{part.ready}/{part.wanted}"
        state = "stopped" if part.name in stopped else part.state
        table.add_row(part.name, ready, str(part.restarts), state, ", ".join(part.images))
    console.out.print(table, crop=False)
    for part in parts:
        if part.sickness:
            console.warn(f"{part.sickness.object}: {part.sickness.reason}: {part.sickness.detail}")
    if stopped:
        console.warn(f"{join_names(stopped)} stopped: make doctor CANARY=0 says by what")
    if stopped or not all(part.done for part in parts):
        raise typer.Exit(1)


@app.command()
@installation()
def diff(where: Where) -> None:
    """Show what an install would change; exit code 1 if there is anything."""
    found = lifecycle.diff(choose(where, reads=True))
    console.out.print(found or "no difference", markup=False, end="")
    if found:
        raise typer.Exit(1)
    console.out.print()


@app.command()
@installation()
def ui(where: Where, port: Port = 3000) -> None:
    """Open a port of this machine to the web UI, while pods come and go."""
    forward.keep(choose(where), forward.UI, port)


@app.command()
@installation()
def api(where: Where, port: Port = 8889) -> None:
    """Open a port of this machine to the API, while pods come and go."""
    forward.keep(choose(where), forward.API, port)
