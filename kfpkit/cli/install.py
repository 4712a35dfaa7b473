"""Commands on Kubeflow Pipelines itself."""

from __future__ import annotations

from typing import Annotated

import typer

Overlay = Annotated[
    str,
    typer.Option(
        envvar="OVERLAY",
        help="A folder of manifests/overlays, or the path of one of yours; default the kind "
        "cluster's.",
    ),
]
Context = Annotated[
    str,
    typer.Option(
        envvar="CONTEXT", help="A context of your kubeconfig; default that of the kind cluster."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", envvar="YES", help="Do not ask.")]
Timeout = Annotated[
    float, typer.Option(min=1, envvar="TIMEOUT", help="Seconds to wait for all parts.")
]


def register(app: typer.Typer) -> None:
    """Add `kfpkit install`, `uninstall`, `status`, `diff`, `ui`, `api` and `upload`."""
    app.command("install")(install)
    app.command("uninstall")(uninstall)
    app.command("status")(status)
    app.command("diff")(diff)
    app.command("ui")(ui)
    app.command("api")(api)
    app.command("upload")(upload)


def install(
    overlay: Overlay = "",
    context: Context = "",
    timeout: Timeout = 1800,
) -> None:
    """Install Kubeflow Pipelines and wait until every part is ready."""
    from kfpkit.core import process
    from kfpkit.kfp.target import choose
    from kfpkit.operations import gke
    from kfpkit.operations import installation as lifecycle

    target = choose(overlay, context)
    if gke.concerns(target) and not process.dry_run():
        gke.require(target)
    lifecycle.install(target, timeout=timeout)


def uninstall(
    overlay: Overlay = "",
    context: Context = "",
    delete_data: Annotated[
        bool,
        typer.Option(
            "--delete-data", envvar="DELETE_DATA", help="Also remove runs, artifacts, passwords."
        ),
    ] = False,
    yes: Yes = False,
) -> None:
    """Remove Kubeflow Pipelines; its volumes and Secrets stay for the next install."""
    from kfpkit.core import process
    from kfpkit.kfp.target import choose
    from kfpkit.operations import installation as lifecycle

    target = choose(overlay, context)
    if delete_data and not yes and not process.dry_run():
        typer.confirm(
            f"Remove the namespace {target.namespace} of {target.context} with all runs, "
            "artifacts and passwords in it?",
            abort=True,
        )
    lifecycle.uninstall(target, delete_data=delete_data)


def status(overlay: Overlay = "", context: Context = "") -> None:
    """Show each part of Kubeflow Pipelines; exit code 1 unless all are ready."""
    from rich.table import Column, Table

    from kfpkit.core import console
    from kfpkit.core.errors import join_names
    from kfpkit.kfp.target import choose
    from kfpkit.operations import installation as lifecycle
    from kfpkit.operations import lock

    target = choose(overlay, context)
    parts = lifecycle.parts(target)
    stopped = lifecycle.stopped(target, parts)
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
    if found := lock.read(target):
        console.warn(f"{found.said}. {found.do}")
    elif stopped:
        console.warn(f"{join_names(stopped)} stopped: somebody scaled them to no pods")
    if stopped or not all(part.done for part in parts):
        raise typer.Exit(1)


def diff(overlay: Overlay = "", context: Context = "") -> None:
    """Show what an install would change; exit code 1 if there is anything."""
    from kfpkit.core import console
    from kfpkit.kfp.target import choose
    from kfpkit.operations import installation as lifecycle

    found = lifecycle.diff(choose(overlay, context))
    console.out.print(found or "no difference", markup=False, end="")
    if found:
        raise typer.Exit(1)
    console.out.print()


def ui(
    overlay: Overlay = "",
    context: Context = "",
    port: Annotated[int, typer.Option(min=1, envvar="PORT", help="Port of this machine.")] = 3000,
) -> None:
    """Open a port of this machine to the web UI, and keep it open while pods come and go."""
    from kfpkit.kfp.target import choose
    from kfpkit.kube import forward

    forward.keep(choose(overlay, context), forward.UI, port)


def api(
    overlay: Overlay = "",
    context: Context = "",
    port: Annotated[int, typer.Option(min=1, envvar="PORT", help="Port of this machine.")] = 8889,
) -> None:
    """Open a port of this machine to the API, and keep it open while pods come and go."""
    from kfpkit.kfp.target import choose
    from kfpkit.kube import forward

    forward.keep(choose(overlay, context), forward.API, port)


def upload(
    pipeline: Annotated[str, typer.Argument(help="Module of pipelines/.")],
    host: Annotated[
        str,
        typer.Option(
            envvar="KFP_HOST", help="Address of the KFP API; default that of the kind cluster."
        ),
    ] = "",
) -> None:
    """Upload a pipeline, or a new version of one; what is there is not uploaded again."""
    from kfpkit.cluster import config as cluster
    from kfpkit.core import console
    from kfpkit.kfp import pipelines
    from kfpkit.kfp.upload import upload as send

    host = host or cluster.API
    done = send(pipelines.find(pipeline), host)
    if done is None:
        return
    console.say(f"{host}: version {done.version} is {'new' if done.new else 'there already'}")
    console.out.print(f"pipeline {done.pipeline_id} version {done.version_id}", markup=False)
