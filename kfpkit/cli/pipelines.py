"""Commands on the pipelines of the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from components import image
from kfpkit.cli.options import PipelineName, option
from kfpkit.core import console, process
from kfpkit.core.errors import KitError
from kfpkit.core.versions import ROOT
from kfpkit.kfp import pipelines
from kfpkit.lint import page

app = typer.Typer()


@app.command("compile")
def compile_pipeline(
    pipeline: PipelineName,
    to: Annotated[Path, typer.Argument(help="File to write, ending in .yaml.")],
    runtime_image: Annotated[
        str, option("RUNTIME_IMAGE", "Image of the tasks, for other clusters")
    ] = "",
) -> None:
    """Write a pipeline's IR YAML, for KFP and for Vertex AI Pipelines."""
    if runtime_image:
        image.RUNTIME_IMAGE = runtime_image  # Before the pipeline's module takes it from there.
    found = pipelines.find(pipeline)
    if process.dry_run():
        console.say(f"would write {to}: {found.name}")
        return
    pipelines.compile_to(found, to)
    console.say(f"{to}: {found.name}")


@app.command()
def golden(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail on a drift.")] = False,
) -> None:
    """Rewrite the files derived from the pipelines, from uv.lock and from lint's rules."""
    if check:
        stale = pipelines.stale_golden(page.golden())
        if stale:
            names = ", ".join(str(path.relative_to(ROOT)) for path in sorted(stale))
            raise KitError(
                f"golden files are stale: {names}", "Run make golden and review its diff"
            )
        console.say("golden files: all as compiled")
        return
    verb = "would rewrite" if process.dry_run() else "rewrote"
    rewritten = (
        sorted(pipelines.stale_golden(page.golden()))
        if process.dry_run()
        else pipelines.write_golden(page.golden())
    )
    for path in rewritten:
        console.say(f"{verb} {path.relative_to(ROOT)}")
    if not rewritten:
        console.say("golden files: all as compiled")
