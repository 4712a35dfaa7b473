"""Commands on Kubeflow Pipelines itself."""

from __future__ import annotations

import typer
from rich.table import Column, Table

from kfpkit.cli.options import DeleteData, Port, Timeout, Where, Yes, installation
from kfpkit.cli.targets import choose
from kfpkit.core import console, process
from kfpkit.core.errors import CommandError, join_names
from kfpkit.kfp import webhook
from kfpkit.kube import forward
from kfpkit.operations import gke, lock
from kfpkit.operations import installation as lifecycle

app = typer.Typer()


@app.command()
@installation()
def install(where: Where, timeout: Timeout = 1800) -> None:
    """Install Kubeflow Pipelines and wait until every component is ready."""
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
    """Show each component of KFP; exit code 1 unless all are ready."""
    target = choose(where, reads=True)
    components = lifecycle.components(target)
    stopped = lifecycle.stopped(target, components)
    # The names of images may not be cut off, also where the output is no terminal.
    images = Column("Image", min_width=max(len(", ".join(one.images)) for one in components))
    table = Table("Component", "Ready", "Restarts", "State", images, box=None, header_style="bold")
    for one in components:
        ready = f"{one.ready}/{one.wanted}"
        state = "stopped" if one.name in stopped else one.state
        table.add_row(one.name, ready, str(one.restarts), state, ", ".join(one.images))
    console.out.print(table, crop=False)
    for one in components:
        if one.sickness:
            console.warn(f"{one.sickness.object}: {one.sickness.reason}: {one.sickness.detail}")
    if found := lock.read(target):
        console.warn(f"{found.said}. {found.do}")
    elif stopped:
        console.warn(f"{join_names(stopped)} stopped: somebody scaled them to no pods")
    if webhook.wanted(target.documents):
        try:
            for finding in webhook.troubles(target):
                console.warn(f"{finding.evidence}. {finding.command}")
        except CommandError as error:  # It is the cluster's, and not all may look at it.
            console.warn(f"not looked at: the webhook of {webhook.NAME}: {error.stderr.strip()}")
    if stopped or not all(one.done for one in components):
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
