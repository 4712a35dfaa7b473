"""Bringing here what a run on a cluster left there: logs, parameters, artifacts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfpkit import console
from kfpkit.errors import KitError
from kfpkit.install import forward
from kfpkit.runs import metadata, workflow
from kfpkit.runs.local import ERROR_LINES, LOG, PIPELINE_ROOT
from kfpkit.runs.objects import Objects
from kfpkit.runs.run import Artifact, Run, State, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfpkit.install.target import Target
    from kfpkit.runs.workflow import Node

#: Bytes up to which an artifact is brought into the run's folder; a larger one is listed only.
ARTIFACT_BYTES = 64 * 1024 * 1024

#: Artifact that KFP itself adds to each task.
_LOGS = "executor-logs"

#: What KFP's programs print themselves, and Argo's after them.
_GLOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+\.go:\d+\] ")
_ARGO = re.compile(r"time=\S+ level=|Error: exit status \d+$")


def bring(target: Target, run: Run, seen: workflow.Seen, folder: Path) -> None:
    """Complete the description of a run; what cannot be had is said, and left out.

    Args:
        target: The cluster.
        run: The description, whose tasks have their states.
        seen: The run's Workflow.
        folder: The run's own folder; takes the log and the outputs.
    """
    with Objects(target) as objects:
        _bring_logs(target, run, seen, objects, folder)
        try:
            with forward.opened(target, forward.METADATA) as address:
                found = metadata.executions(address, run.id)
        except KitError as error:
            console.warn(f"the report has no metrics and no artifacts: {error.what}")
            return
        for task in run.tasks:
            mine = _executions_of(task, seen, found)
            for number, execution in enumerate(mine):
                task.inputs |= execution.inputs
                task.outputs |= execution.outputs
                # The rounds of a loop have the same outputs.
                several = len(mine) > 1
                for output in sorted(execution.artifacts, key=lambda one: one.name):
                    if output.name == _LOGS:
                        continue
                    path = Path(PIPELINE_ROOT, task.name, *([str(number)] if several else []))
                    artifact = _artifact(output, objects, folder, path / output.name)
                    task.artifacts.append(artifact)


def _executions_of(
    task: Task, seen: workflow.Seen, found: list[metadata.Execution]
) -> list[metadata.Execution]:
    """Return the executions of a task: those of its name in its graph."""
    outer, _, name = task.name.rpartition("/")
    graphs = seen.graphs.get(outer, ())
    return [
        execution for execution in found if (execution.graph in graphs) and execution.task == name
    ]


def _artifact(output: metadata.Output, objects: Objects, folder: Path, path: Path) -> Artifact:
    """Return an artifact, its files brought into the run's folder unless they are too large."""
    artifact = Artifact(output.name, output.type, output.uri, metadata=output.metadata)
    access = output.store.get("Params") or {}
    try:
        found = objects.find(output.uri, access)
        if found is None:
            return replace(artifact, uri="")
        artifact = replace(artifact, size=found.size)
        if found.size > ARTIFACT_BYTES:
            console.say(f"{output.uri} stays where it is: {found.size:,} bytes")
            return artifact
        objects.fetch(output.uri, access, found, folder / path)
        return replace(artifact, path=str(path))
    except KitError as error:
        console.warn(error.what)
        return artifact


def _bring_logs(
    target: Target, run: Run, seen: workflow.Seen, objects: Objects, folder: Path
) -> None:
    """Write all that the tasks printed into the run's log, and the errors into the tasks."""
    parts = []
    for task in run.tasks:
        mine = seen.of(task)
        for node in mine:
            if node.role == "executor" and node.type == "Pod":
                text = _log(target, node, seen.repository, objects)
                if text:
                    parts.append(f"==== {task.name} ({node.pod})\n{text.rstrip()}\n")
        if task.state is State.FAILED:
            task.error = _why(target, workflow.bad_pods(mine), seen.repository, objects)
            if not task.error:
                messages = [node.message for node in mine if node.failed and node.message]
                task.error = "\n".join(dict.fromkeys(messages))
    if run.state is State.FAILED and not run.failed:
        # A graph's own driver: it belongs to no task.
        stray = [node for node in seen.nodes if not node.task and node.failed]
        why = _why(target, stray[-1:], seen.repository, objects)
        run.error = why or run.error
    if parts:
        (folder / LOG).write_text("\n".join(parts), encoding="utf-8")
        run.log = LOG


def _log(target: Target, node: Node, repository: Mapping[str, Any], objects: Objects) -> str:
    """Return the log of a pod, from the archive where the pod is gone."""
    got = target.query("logs", node.pod, "--container=main", check=False)
    if got.ok:
        return got.stdout
    if not node.log:
        return ""
    s3, gcs = repository.get("s3", {}), repository.get("gcs", {})
    access = {
        "endpoint": s3.get("endpoint", ""),
        "region": s3.get("region", ""),
        "disableSSL": str(s3.get("insecure", False)),
        "secretName": s3.get("accessKeySecret", {}).get("name", ""),
        "accessKeyKey": s3.get("accessKeySecret", {}).get("key", ""),
        "secretKeyKey": s3.get("secretKeySecret", {}).get("key", ""),
    }
    bucket = f"gs://{gcs['bucket']}" if gcs else f"s3://{s3.get('bucket', '')}"
    try:
        return objects.read(f"{bucket}/{node.log}", access if s3 else {})
    except KitError as error:
        console.warn(error.what)
        return ""


def _why(
    target: Target, failed: list[Node], repository: Mapping[str, Any], objects: Objects
) -> str:
    """Return why pods failed, for a person."""
    found = []
    for node in failed:
        log = _log(target, node, repository, objects)
        found.append(excerpt(log, node.message, of_task=node.role == "executor"))
    return "\n".join(filter(None, found))


def excerpt(log: str, message: str, *, of_task: bool = True) -> str:
    """Return the part of a failed pod's log that says why it failed.

    Args:
        log: The log of the pod's main container, in which KFP's launcher or driver writes as well.
        message: What Argo says about the pod.
        of_task: Whether it is a task's own pod, not a driver.

    Returns:
        Of a task the last traceback, or else the last lines that it printed; of a driver, or where
        the task printed nothing, KFP's own errors. Argo's message comes last where it says more
        than an exit code, or where it is all there is.
    """
    rows = [row for row in log.splitlines() if row.strip()]
    own: list[str] = []
    of_kfp: list[str] = []
    for row in rows:
        if match := _GLOG.match(row):
            if row[0] in "EF":
                of_kfp.append(row[match.end() :])
            if row[0] == "F":
                break  # what follows are the stacks of the launcher's threads
        elif not _ARGO.match(row):
            own.append(row)
    starts = [place for place, row in enumerate(own) if row.startswith("Traceback (")]
    found = own[starts[-1] :] if starts else own[-ERROR_LINES:]
    if of_kfp and not (of_task and found):
        found = of_kfp[-ERROR_LINES:]
    if message and (not found or not message.startswith("Error (exit code ")):
        found = [*found, message]
    return "\n".join(found)
