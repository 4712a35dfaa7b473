"""Commands on the pipelines of the checkout."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from kfpkit.cli.run import PipelineName  # noqa: TC001 - typer reads annotations at run time


def register(app: typer.Typer) -> None:
    """Add `kfpkit compile` and `kfpkit golden`."""
    app.command("compile")(compile_pipeline)
    app.command("golden")(golden)


def compile_pipeline(
    pipeline: PipelineName,
    to: Annotated[Path, typer.Argument(help="File to write, ending in .yaml.")],
    image: Annotated[
        str | None,
        typer.Option(envvar="KFPKIT_RUNTIME_IMAGE", help="Image of the tasks, for other clusters."),
    ] = None,
) -> None:
    """Write a pipeline's IR YAML, which KFP and Vertex AI Pipelines take alike."""
    import os

    from kfpkit.core import console

    if image:
        os.environ["KFPKIT_RUNTIME_IMAGE"] = image
    from kfpkit.kfp import pipelines

    found = pipelines.find(pipeline)
    pipelines.compile_to(found, to)
    console.say(f"{to}: {found.name}")


def golden(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail on a drift.")] = False,
) -> None:
    """Rewrite the files derived from the pipelines and from uv.lock, where they differ."""
    from kfpkit.core import console, process
    from kfpkit.core.errors import KitError
    from kfpkit.core.versions import ROOT
    from kfpkit.kfp import pipelines

    if check:
        stale = pipelines.stale_golden()
        if stale:
            names = ", ".join(str(path.relative_to(ROOT)) for path in sorted(stale))
            raise KitError(
                f"golden files are stale: {names}", "Run make golden and review its diff"
            )
        console.say("golden files: all as compiled")
        return
    verb = "would rewrite" if process.dry_run() else "rewrote"
    rewritten = sorted(pipelines.stale_golden()) if process.dry_run() else pipelines.write_golden()
    for path in rewritten:
        console.say(f"{verb} {path.relative_to(ROOT)}")
    if not rewritten:
        console.say("golden files: all as compiled")
