"""Uploading a pipeline."""

from __future__ import annotations

from dataclasses import replace

import typer

from kfpkit.cli import linting
from kfpkit.cli.options import Host, Lint, PipelineName, Where, installation
from kfpkit.cli.targets import find
from kfpkit.core import console
from kfpkit.kfp import pipelines
from kfpkit.kfp.upload import upload as send

app = typer.Typer()


@app.command()
@installation()
def upload(
    where: Where, pipeline: PipelineName = "penguins", host: Host = "", lint: Lint = True
) -> None:
    """Upload a pipeline, or a new version of one, unless it is there."""
    found = pipelines.find(pipeline)
    with find(where, host) as place:
        if lint:
            linting.admit_on(found, place.target)
        done = send(replace(found, image_prefix=place.target.image_prefix), place.host)
        if done is None:
            return
        state = "new" if done.new else "there already"
        console.say(f"{place.host}: version {done.version} is {state}")
        console.out.print(f"pipeline {done.pipeline_id} version {done.version_id}", markup=False)
