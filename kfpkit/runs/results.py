"""Bringing here what a run on a cluster left there: logs, parameters, artifacts."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kfpkit.core import console
from kfpkit.core.errors import KitError, join_names
from kfpkit.kfp import metadata, workflow
from kfpkit.kfp.executor_output import not_finite, written
from kfpkit.kfp.object_store import Objects, bucket_of
from kfpkit.kfp.run import Artifact, Run, State, Task, folder_of
from kfpkit.kube import forward
from kfpkit.runs.local.run import LOG
from kfpkit.runs.local.task import ERROR_LINES, PIPELINE_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kfpkit.kfp.metadata import Execution, Home, Output
    from kfpkit.kfp.object_store import Access
    from kfpkit.kfp.spec import Spec
    from kfpkit.kfp.target import Target

#: Bytes up to which an artifact is brought into the run's folder; a larger one is listed only.
ARTIFACT_BYTES = 64 * 1024 * 1024

#: Artifact that KFP itself adds to each task.
_LOGS = "executor-logs"

#: What KFP's programs print themselves, kfp inside the step, and Argo's after them.
_GLOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+\.go:\d+\] ")
_KFP = re.compile(r"\[KFP Executor \S+ \S+ INFO\]: ")
_ARGO = re.compile(r"time=\S+ level=|Error: exit status \d+$")

#: How the launcher's error ends where it is the step that failed, not the launcher.
_STEP_ENDED = re.compile(r"(?:exit status (?P<code>\d+)|(?P<signal>signal: .+))$")

#: What a driver's error says before its cause: all that the driver was called with.
_CALL = re.compile(r"driver\.\w+\(.*\) failed: ")

#: Pod of a task: the name of its Workflow, and what Argo appends.
_POD = re.compile(r"(?P<workflow>.+?)-(retry-)?system-container-impl-\d+$")

#: How far ML Metadata's six decimals are from a number; and its largest number, a little less.
_DECIMALS, _LARGEST = 1e-6, 9.9e64


def recorded(target: Target, run_id: str, spec: Spec) -> tuple[dict[str, Execution], Home]:
    """Return what ML Metadata has of a run, by the names of rows and graphs, and the run's folder.

    Raises:
        KitError: The metadata server does not answer.
    """
    with forward.opened(target, forward.METADATA) as address:
        executions = metadata.executions(address, run_id)
        return metadata.place(executions, spec), metadata.home(address, run_id)


def bring(target: Target, run: Run, spec: Spec, seen: workflow.Seen, folder: Path) -> None:
    """Complete the description of a run; what cannot be had is said, and left out.

    Args:
        target: The cluster.
        run: The description, whose rows have their states.
        spec: The compiled pipeline.
        seen: The run's Workflow.
        folder: The run's own folder; takes the log and the outputs.
    """
    found: dict[str, Execution] = {}
    home = metadata.Home()
    try:
        found, home = recorded(target, run.id, spec)
    except KitError as error:
        console.warn(f"the report has no metrics and no artifacts: {error.what}")
    with Objects(target) as objects:
        reader = _Reader(target, run.id, seen, home, objects)
        logs = []
        for row in run.rows:
            execution = found.get(row.name)
            logs += reader.logs(row, execution)
            if row.state is State.FAILED:
                row.error = reader.why(row, execution)
            declared = spec["components"][f"comp-{row.component}"]
            row.inputs = _typed(
                row.inputs | (execution.inputs if execution else {}),
                declared.get("inputDefinitions", {}),
            )
            if execution:
                row.outputs = _typed(execution.outputs, declared.get("outputDefinitions", {}))
                reader.artifacts(row, execution, folder)
        if run.state is State.FAILED and not run.failed:
            run.error = reader.why_run(run.error)
    artifacts = [(row, artifact) for row in run.rows for artifact in row.artifacts]
    if rounded := [f"{row.name}.{one.name}" for row, one in artifacts if one.rounded]:
        console.say(
            f"the numbers of {join_names(rounded)} have the six decimals that ML Metadata keeps: "
            "the log with all their digits is gone"
        )
    if logs:
        (folder / LOG).write_text("\n".join(logs), encoding="utf-8")
        run.log = LOG


class _Reader:
    """Reads what the rows of one run left, from wherever it still is."""

    def __init__(
        self, target: Target, run_id: str, seen: workflow.Seen, home: Home, objects: Objects
    ) -> None:
        self._target = target
        self._run_id = run_id
        self._seen = seen
        self._home = home
        self._objects = objects
        self._texts: dict[str, str] = {}
        self._said: set[str] = set()

    def logs(self, row: Task, execution: Execution | None) -> list[str]:
        """Return the logs of a row's pods, each under a line that names it."""
        texts = [(pod, self._log(pod, key)) for pod, key in self._pods(row, execution)]
        return [f"==== {row.name} ({pod})\n{text.rstrip()}\n" for pod, text in texts if text]

    def why(self, row: Task, execution: Execution | None) -> str:
        """Return why a row failed, for a person; never empty."""
        mine = self._seen.of(row.name)
        pod = workflow.bad_pod(mine)
        if pod:
            log = self._log(pod.pod, pod.log)
            why = excerpt(log, pod.message, of_task=pod.role == "executor")
        else:
            gone = self._pods(row, execution)[-1:] if not mine else []
            why = "".join(excerpt(self._log(name, key), "") for name, key in gone)
        if not why or why.startswith("Error (exit code "):
            said = [node.message for node in mine if node.failed and node.message]
            said += self._events({node.pod for node in mine if node.pod})
            why = "\n".join(dict.fromkeys(said)) or self.why_run("")
        return why

    def why_run(self, known: str) -> str:
        """Return why a run failed of which no row did, for a person; never empty."""
        # A graph's own driver: it belongs to no row.
        stray = [node for node in self._seen.nodes if not node.row and node.failed]
        if stray:
            log = self._log(stray[-1].pod, stray[-1].log)
            if why := excerpt(log, stray[-1].message, of_task=False):
                return why
        said = [known or self._seen.message, *self._events({self._seen.name})]
        return "\n".join(dict.fromkeys(filter(None, said))) or (
            "neither a log nor Kubernetes says why; "
            f"`make explain RUN={self._run_id}` tells what else is known"
        )

    def artifacts(self, row: Task, execution: Execution, folder: Path) -> None:
        """Give a row its artifacts, their files brought into the run's folder."""
        outputs = [one for one in execution.artifacts if one.name != _LOGS]
        if not outputs:
            return
        exact: dict[str, Any] = {}
        if any(one.rounded for one in outputs):
            # Where it is cached, the pod is another run's, whose log may be gone by right.
            log = self._log(*self._archived(execution.pod), needed=not execution.cached)
            exact = written(log).get("artifacts", {})
        below = PIPELINE_ROOT / folder_of(row.name)
        for output in sorted(outputs, key=lambda one: one.name):
            try:
                numbers = unrounded(output, exact[output.name]["artifacts"][0]["metadata"])
            except (KeyError, IndexError, TypeError, AttributeError):  # the step prints there, too
                numbers = {}
            row.artifacts.append(self._artifact(output, numbers, folder, below / output.name))

    def _artifact(
        self, output: Output, numbers: dict[str, Any], folder: Path, path: Path
    ) -> Artifact:
        """Return an artifact, its files brought here unless they are too large."""
        known = output.metadata | numbers
        rounded = [key for key in output.rounded if key not in numbers]
        artifact = Artifact(output.name, output.type, output.uri, metadata=known, rounded=rounded)
        access = self._access(output)
        try:
            found = self._objects.find(output.uri, access)
            if found is None:
                # Whoever writes no file has the place that KFP gave it all the same.
                own = self._home.root and output.uri.startswith(f"{self._home.root}/")
                return replace(artifact, uri="") if own else artifact
            artifact = replace(artifact, size=found.size)
            if found.size > ARTIFACT_BYTES:
                console.say(f"{output.uri} stays where it is: {found.size:,} bytes")
                return artifact
            self._objects.fetch(output.uri, access, found, folder / path)
            return replace(artifact, path=str(path))
        except KitError as error:
            self._warn(str(error).removesuffix("."))
            return artifact

    def _access(self, output: Output) -> Access:
        """Return how an artifact is reached: as the launcher did, which notes none of imports."""
        root = self._home.root
        ours = root and (
            bucket_of(output.uri) == bucket_of(root)
            or (output.uri.startswith("minio://") and root.startswith("minio://"))
        )
        return output.access or (self._home.access if ours else {})

    def _pods(self, row: Task, execution: Execution | None) -> list[tuple[str, str]]:
        """Return a row's own pods and the keys of their archived logs, the newest last."""
        mine = [n for n in self._seen.of(row.name) if n.role == "executor" and n.type == "Pod"]
        if mine or self._seen.nodes or not execution or execution.cached:
            return [(node.pod, node.log) for node in mine]
        return [self._archived(execution.pod)] if execution.pod else []

    @staticmethod
    def _archived(pod: str) -> tuple[str, str]:
        """Return a pod and the key of its log, by the keyFormat of the artifactRepository."""
        named = _POD.match(pod)
        return pod, f"{workflow.LOGS}{named['workflow']}/{pod}/main.log" if named else ""

    def _log(self, pod: str, key: str, *, needed: bool = True) -> str:
        """Return the log of a pod, from the archive where the pod is gone; empty if none is."""
        if pod not in self._texts:
            self._texts[pod] = self._read_log(pod, key, needed=needed) if pod else ""
        return self._texts[pod]

    def _read_log(self, pod: str, key: str, *, needed: bool) -> str:
        got = self._target.query("logs", pod, "--container=main", check=False)
        if got.ok:
            return got.stdout
        if not key:
            return ""
        bucket, access = archive(self._seen.repository, self._home)
        try:
            return self._objects.read(f"{bucket}/{key}", access)
        except KitError as error:
            if needed:
                self._warn(error.what)
            return ""

    def _events(self, names: set[str]) -> list[str]:
        """Return the warnings that Kubernetes has of objects, oldest first."""
        return [
            f"{event.get('reason', '')}: {event.get('message', '').strip()}"
            for event in self._all_events
            if event.get("type") == "Warning" and event["involvedObject"].get("name") in names
        ][-ERROR_LINES:]

    @cached_property
    def _all_events(self) -> list[dict[str, Any]]:
        try:
            return self._target.items(["events"], "--sort-by=.lastTimestamp")
        except KitError:
            return []  # It is no right that the rest needs.

    def _warn(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            console.warn(message)


def archive(repository: Mapping[str, Any], home: Home) -> tuple[str, Access]:
    """Return the bucket of archived logs and how it is reached.

    Args:
        repository: Argo's configuration of it, from a Workflow; empty where that is gone.
        home: Where the run keeps its artifacts, which is then the same bucket.
    """
    s3, gcs = repository.get("s3", {}), repository.get("gcs", {})
    if gcs:
        return f"gs://{gcs['bucket']}", {}
    if not s3:
        return bucket_of(home.root), home.access
    return f"s3://{s3.get('bucket', '')}", {
        "endpoint": s3.get("endpoint", ""),
        "region": s3.get("region", ""),
        "disableSSL": str(s3.get("insecure", False)),
        "secretName": s3.get("accessKeySecret", {}).get("name", ""),
        "accessKeyKey": s3.get("accessKeySecret", {}).get("key", ""),
        "secretKeyKey": s3.get("secretKeySecret", {}).get("key", ""),
    }


def unrounded(output: Output, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata that ML Metadata keeps otherwise than its task gave it, as given.

    Args:
        output: The artifact, out of ML Metadata.
        given: Its metadata in what its step wrote; may be another's, whose numbers differ.
    """
    return {
        key: given[key]
        for key, kept in output.metadata.items()
        if isinstance(kept, int | float)
        and isinstance(given.get(key), int | float)
        and (
            math.isclose(given[key], kept, abs_tol=_DECIMALS)
            or min(abs(given[key]), abs(kept)) > _LARGEST
        )
    }


def _typed(values: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters in the types that a component declares: all numbers come as one kind."""
    kinds = {"NUMBER_DOUBLE": float, "NUMBER_INTEGER": int}

    def typed(name: str, value: Any) -> Any:
        kind = kinds.get(declared.get("parameters", {}).get(name, {}).get("parameterType"))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return kind(value) if kind and number and kind(value) == value else value

    return {name: typed(name, value) for name, value in sorted(values.items())}


def excerpt(log: str, message: str, *, of_task: bool = True) -> str:
    """Return the part of a failed pod's log that says why it failed.

    Args:
        log: The log of the pod's main container, in which KFP's launcher or driver writes as well.
        message: What Argo says about the pod.
        of_task: Whether it is a task's own pod, not a driver.

    Returns:
        Where the step ended well and the launcher or driver failed, its error, with the values that
        KFP cannot keep. Else the step's last traceback, or the last lines that it printed and its
        exit code; where it printed nothing, KFP's own errors. Argo's message comes last where it
        says more than an exit code, or where it is all there is.
    """
    own, errors, fatal = _parts(log)
    ended = _STEP_ENDED.search(fatal) if of_task else None
    starts = [place for place, row in enumerate(own) if row.startswith("Traceback (")]
    if fatal and not ended:
        lines = (
            f"{' '.join(place)} is {value}: KFP keeps finite numbers only"
            for place, value in not_finite(written(log))
        )
        found = [fatal, *dict.fromkeys(lines)]
    elif starts:
        found = own[starts[-1] :]
    elif own and of_task:
        code = re.match(r"Error \(exit code (\d+)\)$", message)
        exit_code = (ended and ended["code"]) or (code and not ended and code[1])
        how = f"exit code {exit_code}" if exit_code else ended["signal"] if ended else ""
        found = [*own[-ERROR_LINES:], *filter(None, [how])]
    else:
        found = errors[-ERROR_LINES:]
    if message and (not found or not message.startswith("Error (exit code ")):
        found = [*found, message]
    return "\n".join(found)


def _parts(log: str) -> tuple[list[str], list[str], str]:
    """Return the rows of a pod's log that are the step's, KFP's errors, and its fatal one."""
    own: list[str] = []
    errors: list[str] = []
    rows = iter([row for row in log.splitlines() if row.strip()])
    for row in rows:
        if match := _GLOG.match(row):
            said = _CALL.sub("", row[match.end() :])
            if row[0] in "EF":
                errors.append(said)
            if row[0] == "F":
                return own, errors, said  # what follows are the stacks of the launcher's threads
            if said.endswith("{"):
                _skip_object(rows)
        elif _KFP.match(row):
            if row.endswith("executor_input:"):
                _skip_object(rows)
        elif not _ARGO.match(row):
            own.append(row)
    return own, errors, ""


def _skip_object(rows: Iterator[str]) -> None:
    """Pass over the rest of an object that KFP prints in several rows."""
    for _ in iter(lambda: next(rows, "}"), "}"):
        pass
