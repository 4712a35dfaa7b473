"""A small run through everything that a run passes: driver, launcher, object store, cache."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kfp import compiler, dsl

from components.image import RUNTIME_IMAGE, VARIABLE
from kfpkit.core.errors import KitError, WaitTimeoutError
from kfpkit.core.findings import Finding, fault, ok, warning
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import api, pipelines, reach
from kfpkit.kfp.run import State
from kfpkit.kfp.states import ENDS
from kfpkit.kfp.target import Target
from kfpkit.kfp.workflow import LOGS, Workflow
from kfpkit.kube import forward, health
from kfpkit.runs import explain
from kfpkit.runs.reasons import cached_steps

#: Name of the pipeline and of the experiment its runs are in.
NAME = "kfpkit-canary"

#: Steps of the pipeline.
STEPS = 2

#: Seconds for each of the two runs.
TIMEOUT = 300.0

#: Seconds that a trouble may last before the wait is given up.
PATIENCE = 45.0

#: Troubles that pass when other runs end.
BUSY = ("unschedulable", "quota")

_WRITE = 'mkdir -p "$(dirname "$1")" && printf %s "$0" > "$1"'
_READ = 'test "$(cat "$1")" = "$0"'


@dsl.container_component  # type: ignore[untyped-decorator]
def write(token: str, note: dsl.Output[dsl.Artifact]) -> dsl.ContainerSpec:
    """Write the token into an artifact."""
    return dsl.ContainerSpec(
        image=RUNTIME_IMAGE, command=["sh", "-c", _WRITE], args=[token, note.path]
    )


@dsl.container_component  # type: ignore[untyped-decorator]
def read(token: str, note: dsl.Input[dsl.Artifact]) -> dsl.ContainerSpec:
    """Fail unless the artifact holds the token."""
    return dsl.ContainerSpec(
        image=RUNTIME_IMAGE, command=["sh", "-c", _READ], args=[token, note.path]
    )


@dsl.pipeline(name=NAME)  # type: ignore[untyped-decorator]
def canary(token: str) -> None:
    """Write an artifact and read it back."""
    written = write(token=token)
    for task in (written, read(token=token, note=written.outputs["note"])):
        task.set_cpu_request("10m").set_memory_request("32Mi")
        task.set_cpu_limit("500m").set_memory_limit("128Mi")


def ask(target: Target) -> Iterator[Finding]:
    """Run the pipeline, run it again for the cache, and remove both runs where all went well."""
    token = f"{time.time_ns():x}"
    with reach.service(target, forward.API) as address:
        client = api.connect(f"http://{address}")
        runs = []
        for name, from_cache in (("executed", False), ("from the cache", True)):
            began = time.monotonic()
            run = start(client, token, f"{NAME}, {name}", target.image_prefix)
            trouble = _wait(target, client, run)
            if trouble:
                yield trouble
                return
            workflow, steps = cached(target, run)
            if steps != (STEPS if from_cache else 0):
                yield fault(
                    f"run {run}: {steps} of {STEPS} steps came from the cache",
                    target.line("get", "workflow", workflow, "--output=yaml"),
                )
                return
            runs.append((run, workflow))
            yield ok(f"{STEPS} steps, {name}: {time.monotonic() - began:.0f} s")
        for run, _ in runs:
            client.delete_run(run)
    _remove_objects(target, runs)


def start(client: Any, token: str, name: str, image_prefix: str) -> str:
    """Start a run, and return its ID.

    Args:
        client: The API's.
        token: What it is told: a second run that is told the same comes from the cache.
        name: Of the run.
        image_prefix: Registry that its image is pulled from; empty for the image's own name.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "canary.yaml"
        compiler.Compiler().compile(canary, str(file))
        text = pipelines.with_prefix(file.read_text(encoding="utf-8"), image_prefix)
        file.write_text(text, encoding="utf-8")
        made = client.run_pipeline(
            experiment_id=client.create_experiment(NAME).experiment_id,
            job_name=name,
            pipeline_package_path=str(file),
            params={"token": token},
        )
    return str(made.run_id)


def _wait(target: Target, client: Any, run: str) -> Finding | None:
    """Wait for a run to succeed; else return why it does not."""
    since: dict[str, float] = {}
    reasons: list[str] = []

    def probe() -> str | None:
        state = client.run_state(run)
        if ENDS.get(state) is State.SUCCEEDED:
            return None
        why = explain.explain(explain.gather(target, run), target)
        reasons.append(why.reason)
        seen = since.setdefault(why.reason, time.monotonic())
        stuck = why.reason not in ("", *BUSY) and time.monotonic() - seen > PATIENCE
        sentence = "; ".join([why.sentence, *why.evidence[1:2]])
        if state in ENDS or stuck:
            raise KitError(sentence, why.commands[0] if why.commands else "")
        return sentence

    try:
        wait_for(f"the canary run {run}", probe, timeout=TIMEOUT, interval=2)
    except WaitTimeoutError as error:
        # A cluster that is full of other runs is busy, not broken.
        verdict = warning if reasons[-1] in BUSY else fault
        return verdict(error.what, f"make explain RUN={run}")
    except KitError as error:
        hint = f" ({VARIABLE} names another)" if RUNTIME_IMAGE in error.what else ""
        return fault(f"run {run}: {error.what}{hint}", error.do or f"make explain RUN={run}")
    return None


def cached(target: Target, run: str) -> tuple[str, int]:
    """Return a run's Workflow, and how many steps took their result from the cache."""
    (workflow,) = target.items(["workflows"], "--selector", f"{health.RUN}={run}")
    return workflow["metadata"]["name"], len(cached_steps(Workflow(workflow)))


def _remove_objects(target: Target, runs: list[tuple[str, str]]) -> None:
    """Remove what the runs left in the store; what is left there harms nobody."""
    from obstore.exceptions import BaseError

    prefixes = [f"v2/artifacts/{NAME}/{run}" for run, _ in runs]
    prefixes += [LOGS + workflow for _, workflow in runs]
    try:
        with reach.store(target) as store:
            for prefix in prefixes:
                for page in store.list(prefix):
                    store.delete([item["path"] for item in page])
    except (BaseError, KitError):
        return
