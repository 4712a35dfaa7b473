"""Bringing here what a run on Vertex AI left: parameters, metrics, artifacts, errors."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfpkit.core import console, process
from kfpkit.core.errors import KitError
from kfpkit.kfp.digest import sha256
from kfpkit.kfp.run import Artifact, State, folder_of
from kfpkit.runs.local.task import PIPELINE_ROOT
from kfpkit.runs.results import ARTIFACT_BYTES, give_values, sized
from kfpkit.vertex import details
from kfpkit.vertex.storage import Storage

if TYPE_CHECKING:
    from kfpkit.kfp.metadata import Output
    from kfpkit.kfp.run import Run
    from kfpkit.kfp.spec import Spec
    from kfpkit.kfp.targets_file import Vertex


def bring(target: Vertex, run: Run, spec: Spec, job: dict[str, Any], folder: Path) -> None:
    """Complete the description of a run; what cannot be had is said, and left out.

    Args:
        target: Where it ran.
        run: The description, whose rows have their states.
        spec: The compiled pipeline.
        job: The `PipelineJob` as JSON.
        folder: The run's own folder; takes the outputs.
    """
    placed, told = details.place(job, spec)
    reader = _Reader(target, folder)
    for row in run.rows:
        execution = placed.get(row.name)
        give_values(row, execution, spec)
        if not execution:
            continue
        if row.state is State.FAILED:
            row.error = told[row.name].get("error", {}).get("message", "")
        below = Path(PIPELINE_ROOT) / folder_of(row.name)
        for output in execution.artifacts:
            maker = _maker(target, output.uri) if execution.cached else ""
            row.cached_from = row.cached_from or maker
            row.artifacts.append(reader.artifact(output, below / output.name, maker or run.id))
    if run.state is State.FAILED:
        run.explanation = _explanation(target, run, told)


class _Reader:
    """Reads artifacts, and says each reason why one is left where it is once."""

    def __init__(self, target: Vertex, folder: Path) -> None:
        self._storage = Storage(target)
        self._folder = folder
        self._warned: set[str] = set()

    def artifact(self, output: Output, path: Path, run_id: str) -> Artifact:
        """Return an artifact of a run, its files brought here unless they are too large."""
        artifact = Artifact(output.name, output.type, output.uri, metadata=output.metadata)
        try:
            found = self._storage.find(output.uri)
            artifact = sized(artifact, found, own=f"/{run_id}/" in output.uri)
            if found is None or found.size > ARTIFACT_BYTES:
                return artifact
            self._storage.fetch(output.uri, found, self._folder / path)
        except (KitError, OSError) as error:
            said = error.what if isinstance(error, KitError) else f"{output.uri}: {error.strerror}"
            if said not in self._warned:
                self._warned.add(said)
                console.warn(said)
            return artifact
        return replace(artifact, path=str(path), sha256=sha256(self._folder / path))


def _maker(target: Vertex, uri: str) -> str:
    """Return the run that an artifact's URI says made it: `ROOT/PROJECT/RUN/TASK_ID/NAME`."""
    root = target.pipeline_root.rstrip("/") + "/"
    parts = uri.removeprefix(root).split("/") if uri.startswith(root) else []
    return parts[1] if len(parts) > 3 else ""


def _explanation(target: Vertex, run: Run, told: dict[str, details.Detail]) -> str:
    """Return why a run failed, and what helps."""
    first = run.first_failed
    if first is None:
        return run.error
    said = " ".join(first.error.split()) or "Vertex AI says no reason"
    job = told[first.name].get("executorDetail", {})
    main = job.get("containerDetail", {}).get("mainJob", "") or job.get("customJobDetail", {}).get(
        "job", ""
    )
    lines = [f"the step {first.name} failed: {said}"]
    if main:
        # Without a time gcloud reads the last day alone, and without an order the newest first.
        since = run.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = f'resource.labels.job_id="{main.rpartition("/")[2]}" AND timestamp>="{since}"'
        argv = ["gcloud", "logging", "read", query, f"--project={target.project}", "--order=asc"]
        lines.append(
            f"    {process.line([*argv, '--format=value(textPayload,jsonPayload.message)'])}"
        )
    return "\n".join(lines)
