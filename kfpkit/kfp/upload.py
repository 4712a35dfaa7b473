"""Uploading a pipeline, as a pipeline or as a new version of it."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfpkit.core import console, process
from kfpkit.kfp import api
from kfpkit.kfp.pipelines import Pipeline, compile_to

#: Hexadecimal digits of the compiled pipeline's SHA-256 that name a version.
DIGITS = 10


@dataclass(frozen=True)
class Uploaded:
    """A pipeline version on a server."""

    pipeline_id: str
    version_id: str
    version: str
    #: Whether it was not there before.
    new: bool


def upload(pipeline: Pipeline, host: str) -> Uploaded | None:
    """Upload a pipeline; what the server has already is not uploaded again.

    Args:
        pipeline: The pipeline, compiled for the image that `components.image` names.
        host: Address of the KFP API.

    Returns:
        The version on the server; None in a dry run.

    Raises:
        KitError: The server does not answer, or refuses the pipeline.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        compile_to(pipeline, file)
        digest = hashlib.sha256(file.read_bytes())
        version = f"{pipeline.name}-{digest.hexdigest()[:DIGITS]}"
        if process.dry_run():
            console.say(f"would upload {pipeline.name} to {host}, version {version} at most")
            return None
        return _upload(api.connect(host), pipeline, file, version)


def _upload(client: api.Client, pipeline: Pipeline, file: Path, version: str) -> Uploaded:
    pipeline_id = client.get_pipeline_id(pipeline.name)
    if pipeline_id is None:
        made = client.upload_pipeline(str(file), pipeline.name, description=pipeline.doc)
        (first,) = client.list_pipeline_versions(made.pipeline_id).pipeline_versions
        return _uploaded(first, new=True)
    mine = api.read(file)
    # Newest first; a version of the same content may be an older one.
    listed = client.list_pipeline_versions(pipeline_id, page_size=100, sort_by="created_at desc")
    for known in listed.pipeline_versions or []:
        if known.display_name == version or api.documents(known.pipeline_spec) == mine:
            return _uploaded(known, new=False)
    added = client.upload_pipeline_version(str(file), version, pipeline_id=pipeline_id)
    return _uploaded(added, new=True)


def _uploaded(version: Any, *, new: bool) -> Uploaded:
    return Uploaded(version.pipeline_id, version.pipeline_version_id, version.display_name, new=new)
