"""Runs on Vertex AI: submitting one, following it to its end, ending it."""

from __future__ import annotations

import tempfile
import threading
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.core.waiting import Patience
from kfpkit.kfp import metadata
from kfpkit.kfp import spec as ir
from kfpkit.kfp.compiled_file import SCHEMA, parse
from kfpkit.kfp.pipelines import compile_to
from kfpkit.kfp.run import Run, State
from kfpkit.kfp.values import as_passed
from kfpkit.runs import phases
from kfpkit.runs.local.run import InterruptedRun
from kfpkit.runs.parameters import complete
from kfpkit.runs.remote import PATIENCE, bringing, settle
from kfpkit.vertex import client, details, results
from kfpkit.vertex.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kfpkit.kfp.pipelines import Pipeline
    from kfpkit.kfp.run import Parameter
    from kfpkit.kfp.spec import Spec
    from kfpkit.kfp.targets_file import Vertex
    from kfpkit.runs.progress import Progress

#: Seconds between two looks at a run.
INTERVAL = 2.0

#: Seconds that putting a run into its experiment may take.
JOINING = 30.0

#: The API's states of a run that is over (google.cloud.aiplatform.v1 `PipelineState`).
ENDS = {
    "PIPELINE_STATE_SUCCEEDED": State.SUCCEEDED,
    "PIPELINE_STATE_FAILED": State.FAILED,
    "PIPELINE_STATE_CANCELLED": State.CANCELLED,
}


def require_one_document(pipeline: Pipeline) -> None:
    """Refuse a pipeline with settings for Kubernetes: Vertex AI takes one YAML document.

    Raises:
        BadInputError: It has such settings; what is in them is said.
    """
    if not pipeline.platform:
        return
    found = []
    for platform, said in sorted(pipeline.platform.get("platforms", {}).items()):
        executors = said.get("deploymentSpec", {}).get("executors", {})
        found += [
            f"{name.removeprefix('exec-')}: {', '.join(sorted(fields))}"
            for name, fields in sorted(executors.items())
        ]
        found += [f"{platform}: {key}" for key in sorted(said.keys() - {"deploymentSpec"})]
    raise BadInputError(
        f"the pipeline {pipeline.name} has settings for Kubernetes, which Vertex AI takes none of "
        f"({'; '.join(found)})",
        "Set them in a pipeline for clusters, apart from this one",
    )


def prepare(
    target: Vertex,
    pipeline: Pipeline,
    parameters: Sequence[Parameter],
    *,
    name: str,
    cache: bool,
) -> Any:
    """Return Google's `PipelineJob` of a pipeline, not sent yet.

    Args:
        target: Where it is to run.
        pipeline: The pipeline, with the prefix of its images; goes as it is compiled.
        parameters: All parameters of the run.
        name: The run's display name.
        cache: Whether tasks may take their outputs from earlier runs.

    Raises:
        KitError: Google's client refuses it.
    """
    aiplatform = client.connect(target)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        compile_to(pipeline, file)
        _readable(file, pipeline)
        with client.answers(target, f"the run {name}"):
            return aiplatform.PipelineJob(
                display_name=name,
                template_path=str(file),
                pipeline_root=target.pipeline_root,
                parameter_values={p.name: p.value for p in parameters if p.differs},
                enable_caching=target.caching if cache else False,
                labels=target.labels or None,
            )


def _readable(file: Path, pipeline: Pipeline) -> None:
    """Write a compiled file in another way where Google's client would read other values in it.

    It reads JSON as YAML, where `1e-05` is a text, takes dates for dates, and takes the locale's
    encoding (google-cloud-aiplatform 2.7.0, `yaml_utils`).
    """
    source = pipeline.source or Path(pipeline.module)
    spec, _ = parse(source, file.read_text(encoding="utf-8"))
    try:
        with file.open() as opened:
            read = yaml.safe_load(opened)
    except (ValueError, yaml.YAMLError):
        read = None
    if read != spec:
        file.write_text(yaml.safe_dump(spec), encoding="ascii")


def submit(target: Vertex, job: Any, experiment: str) -> str:
    """Start what `prepare` returned, and return the run's ID.

    Args:
        target: Where it is to run.
        job: The run.
        experiment: Name of the experiment of Vertex AI that is to take it (`run`), which is made
            if it is not there; empty for none.

    Raises:
        KitError: There is no such bucket, Vertex AI does not answer, or it refuses.
    """
    Storage(target).require_bucket()
    with client.answers(target, f"the run {job.job_id}"):
        if experiment:
            client.connect(target).Experiment.get_or_create(experiment)
        with client.no_other_bucket():
            job.submit(
                service_account=target.service_account or None,
                network=target.network or None,
            )
    return str(job.job_id)


def existing(target: Vertex, run_id: str) -> tuple[Spec, list[Parameter]]:
    """Return the compiled pipeline and all parameters of a run that is there.

    Args:
        target: Where it is.
        run_id: Its ID, or its whole resource name.

    Raises:
        KitError: There is no such run, or Vertex AI does not answer.
    """
    job = _get(target, run_id).to_dict()
    spec = dict(job.get("pipelineSpec", {}))
    if (schema := spec.get("schemaVersion", "none")) != SCHEMA:
        raise KitError(
            f"the run {run_id} is of a pipeline of the schema {schema}, and the kit reads {SCHEMA}",
            f"Look at it in the console: {link(target, run_id.rpartition('/')[2])}",
        )
    given = as_passed(job.get("runtimeConfig", {}).get("parameterValues", {}))
    return spec, complete(spec, given)


def link(target: Vertex, run_id: str) -> str:
    """Return where Google's console shows a run."""
    at = f"{target.location}/pipelines/runs/{run_id}"
    return f"https://console.cloud.google.com/vertex-ai/locations/{at}?project={target.project}"


def by_hand(target: Vertex, run_id: str) -> dict[str, str]:
    """Return the commands with which a person goes on with a run, and ends it."""
    which = [f"RUN={run_id}", f"TARGET={target.name}"]
    return {
        "go on from here": process.line(["make", "report", *which]),
        "end it": process.line(["make", "cancel", *which]),
    }


def cancel(target: Vertex, run_id: str) -> None:
    """Ask Vertex AI to end a run; those of its tasks that run get some time for it.

    Raises:
        BadInputError: There is no such run, or it is over.
        KitError: Vertex AI does not answer, or refuses.
    """
    job = _get(target, run_id)
    state = job.to_dict().get("state", "")
    if state in ENDS:
        raise BadInputError(f"the run {run_id} is over: it {_ended(ENDS[state])}")
    with client.answers(target, f"to end the run {run_id}"):
        job.cancel()


def run(
    target: Vertex,
    run_id: str,
    spec: Spec,
    parameters: Sequence[Parameter],
    folder: Path,
    progress: Progress,
    *,
    experiment: str = "",
    wait: bool = True,
) -> Run:
    """Follow a run to its end, good or bad, and bring its results here.

    Args:
        target: Where it runs.
        run_id: Its ID, or its whole resource name.
        spec: The compiled pipeline.
        parameters: All parameters of the run.
        folder: The run's own folder; takes the outputs.
        progress: Is told of the tasks and of each change of their states.
        experiment: Name of the experiment that takes the run, as soon as that can be; where it
            cannot, that is said. Empty for none.
        wait: Without, a run that is not over is described as it is now.

    Raises:
        InterruptedRun: The user interrupted; it holds what is known of the run, which goes on.
        KitError: Vertex AI did not answer for too long, or refused.
    """
    short = run_id.rpartition("/")[2]
    description = ir.run(spec, parameters, short, target.name)
    description.link = link(target, short)
    progress.show(description.tasks)
    seen: dict[str, Any] = {}
    interrupted = False
    try:
        for seen in _looks(target, run_id):
            placed, _ = details.place(seen, spec)
            for task in description.tasks:
                if metadata.update(task, placed):
                    progress.changed(task)
            if not wait:
                break
            context = seen.get("jobDetail", {}).get("pipelineRunContext", {}).get("name", "")
            if experiment and (context or seen.get("state") in ENDS):
                joined, experiment = experiment, ""
                _join(target, joined, short, context)
    except KeyboardInterrupt:
        interrupted = True
    if experiment:
        console.warn(f"the run {short} is not in the experiment {experiment} yet, and stays out")
    with bringing(description):
        _close(description, seen, progress)
        results.bring(target, description, spec, seen, folder)
    if interrupted:
        raise InterruptedRun(description)
    return description


def _looks(target: Vertex, run_id: str) -> Any:
    """Yield a run as the API has it, again and again, up to its end.

    Raises:
        KitError: Vertex AI did not answer for too long, or refused.
    """
    job = None
    pause = threading.Event()
    patience = Patience(PATIENCE)
    while True:
        try:
            if job is None:
                job = _get(target, run_id)
            else:
                with client.answers(target, f"the run {run_id}"):
                    _ = job.state  # asks
            patience.answered()
            seen = job.to_dict()
            yield seen
            if seen.get("state") in ENDS:
                return
        except client.SilentError as error:
            patience.silent(error)
        pause.wait(INTERVAL)


def _join(target: Vertex, experiment: str, run_id: str, context: str) -> None:
    """Put a run into an experiment, or say why not.

    Google's `PipelineJob.submit` does so before it returns: it waits, for as long as it takes, for
    what the run is called in Vertex AI's metadata, and nobody learns the run's ID meanwhile.

    Args:
        target: Where both are.
        experiment: The experiment's name.
        run_id: The run's ID.
        context: The run's context in the metadata; empty where it has none.
    """
    why = "it has no context in Vertex AI's metadata"
    if context:
        client.connect(target)
        contexts = import_module("google.cloud.aiplatform.metadata.context").Context
        try:
            with client.answers(target, f"the experiment {experiment}"):
                found = contexts(experiment)
                found.api_client.add_context_children(
                    context=found.resource_name, child_contexts=[context], timeout=JOINING
                )
        except KitError as error:
            why = error.what
        else:
            return
    console.warn(f"the run {run_id} is not in the experiment {experiment}: {why}")


def _get(target: Vertex, run_id: str) -> Any:
    aiplatform = client.connect(target)
    with client.answers(target, f"the run {run_id}"):
        return aiplatform.PipelineJob.get(run_id)


def _close(run: Run, seen: dict[str, Any], progress: Progress) -> None:
    """Give the run, and its tasks if it is over, the state they end with."""
    run.created = details.moment(seen.get("createTime")) or run.created
    run.started = details.moment(seen.get("startTime"))
    if seen.get("state") not in ENDS:
        return
    run.state = ENDS[seen["state"]]
    run.finished = details.moment(seen.get("endTime"))
    run.error = seen.get("error", {}).get("message", "")
    before = {task.name: task.state for task in run.tasks}
    settle(run)
    phases.wait(run)
    for task in run.tasks:
        if task.state is not before[task.name]:
            progress.changed(task)


def _ended(state: State) -> str:
    return "was cancelled" if state is State.CANCELLED else str(state)
