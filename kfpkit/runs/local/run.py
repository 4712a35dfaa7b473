"""Running a pipeline on this machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kfpkit.core import process
from kfpkit.core.errors import KitError
from kfpkit.kfp import spec as ir
from kfpkit.kfp.run import Run, State
from kfpkit.runs import phases
from kfpkit.runs.local.graph import Graph
from kfpkit.runs.local.rows import Rows
from kfpkit.runs.local.task import PIPELINE_ROOT, Log, Tasks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kfpkit.kfp.run import Parameter
    from kfpkit.kfp.spec import Spec
    from kfpkit.runs.progress import Progress

#: In a run's folder: all that the tasks printed, each line with its task.
LOG = "run.log"


def needs_containers(spec: Spec) -> bool:
    """Return whether a pipeline runs in containers here, not in processes.

    Raises:
        KitError: It does, and no Docker engine answers or an image of the pipeline is not there.
    """
    from components.image import RUNTIME_IMAGE

    needing = ir.container_components(spec)
    if not needing:
        return False
    if not process.query(["docker", "info"], check=False, timeout=30).ok:
        raise KitError(
            f"this pipeline has container components ({', '.join(needing)}), "
            "and no Docker engine answers",
            "Start Docker, or run a pipeline of Python components, which needs none",
        )
    for image in ir.images(spec):
        if not process.query(["docker", "image", "inspect", image], check=False).ok:
            raise KitError(
                f"this pipeline runs in the image {image}, which the Docker engine does not have",
                "Build it with `make images NAMES=python-runtime`"
                if image == RUNTIME_IMAGE
                else f"Pull it: docker pull {image}",
            )
    return True


def new_folder(runs: Path, pipeline: str, now: datetime) -> Path:
    """Make and return the folder of a new run, `<pipeline>-<local time>`."""
    stem = f"{pipeline}-{now.astimezone():%Y%m%d-%H%M%S}"
    runs.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = runs / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def run(
    spec: Spec,
    parameters: Sequence[Parameter],
    folder: Path,
    progress: Progress,
    *,
    in_containers: bool,
) -> Run:
    """Run a pipeline to its end, good or bad, and return the description of the run.

    Args:
        spec: The compiled pipeline.
        parameters: All parameters of the run.
        folder: The run's own folder; takes the log and the outputs.
        progress: Is told of the tasks and of each change of their states.
        in_containers: What `needs_containers` returned.

    Raises:
        InterruptedRun: The user interrupted; it holds the cancelled run.
    """
    description = ir.run(spec, parameters, folder.name, "local")
    description.log = LOG
    rows = Rows(description.tasks, progress.changed)
    about = _about(description, folder)
    progress.show(description.tasks)
    description.started = _now()
    with (folder / LOG).open("w", encoding="utf-8") as file, process.ending_groups():
        tasks = Tasks(spec, folder, Log(file), about, in_containers=in_containers)
        graph = Graph(spec, rows, tasks, about)
        interrupted = False
        try:
            description.state = graph.run({p.name: p.value for p in parameters})
        except KeyboardInterrupt:
            interrupted = True
            description.state = State.CANCELLED
        rows.close(State.CANCELLED)
    description.error = "\n".join(graph.errors)
    description.finished = _now()
    phases.wait(description)
    if first := description.first_failed:
        said = first.error.strip().splitlines()[-1:] or ["it printed nothing"]
        look = process.line(["grep", "-F", f"{first.name} | ", str(folder / LOG)])
        description.explanation = f"the step {first.name} failed: {said[0]}\n    {look}"
    if interrupted:
        raise InterruptedRun(description)
    return description


class InterruptedRun(KeyboardInterrupt):
    """The user interrupted a run; holds what there is of it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__()


def _about(run: Run, folder: Path) -> dict[str, str]:
    """Return what the placeholders for the run itself stand for."""
    created = run.created.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "{{$.pipeline_job_name}}": run.id,
        "{{$.pipeline_job_resource_name}}": run.id,
        "{{$.pipeline_job_uuid}}": run.id,
        "{{$.pipeline_task_uuid}}": run.id,
        "{{$.pipeline_job_create_time_utc}}": created,
        "{{$.pipeline_job_schedule_time_utc}}": created,
        "{{$.pipeline_root}}": str(folder.resolve() / PIPELINE_ROOT),
    }


def _now() -> datetime:
    return datetime.now(UTC)
