"""Bringing here what a run on a cluster left there: logs, parameters, artifacts."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kfpkit.core import console
from kfpkit.core.errors import KitError, join_names
from kfpkit.kfp import metadata
from kfpkit.kfp.digest import sha256
from kfpkit.kfp.log import written
from kfpkit.kfp.object_store import Objects, bucket_of
from kfpkit.kfp.run import Artifact, Run, State, Task, folder_of
from kfpkit.kfp.workflow import LOGS, Node, Workflow
from kfpkit.kube import forward
from kfpkit.runs.explain import Explanation, explain, gather, tell
from kfpkit.runs.facts import Case, Facts
from kfpkit.runs.local.run import LOG
from kfpkit.runs.local.task import PIPELINE_ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kfpkit.kfp.metadata import Execution, Home, Output
    from kfpkit.kfp.object_store import Access, Listing
    from kfpkit.kfp.spec import Spec
    from kfpkit.kfp.target import Target

#: Bytes up to which an artifact is brought into the run's folder; a larger one is listed only.
ARTIFACT_BYTES = 64 * 1024 * 1024

#: Artifact that KFP itself adds to each task.
_LOGS = "executor-logs"

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


def bring(target: Target, run: Run, spec: Spec, seen: Workflow, folder: Path) -> None:
    """Complete the description of a run; what cannot be had is said, and left out.

    Args:
        target: The cluster.
        run: The description, whose rows have their states.
        spec: The compiled pipeline.
        seen: The run's Workflow.
        folder: The run's own folder; takes the log and the outputs.
    """
    executions: dict[str, Execution] = {}
    home = metadata.Home()
    try:
        executions, home = recorded(target, run.id, spec)
    except KitError as error:
        console.warn(f"the report has no metrics and no artifacts: {error.what}")
    with Objects(target) as objects:
        reader = _Reader(target, run, seen, home, objects)
        logs = []
        for row in run.rows:
            execution = executions.get(row.name)
            logs += reader.logs(row, execution)
            if row.state is State.FAILED:
                row.error = reader.why(row, execution).text
            give_values(row, execution, spec)
            if execution:
                row.cached_from = execution.made_by
                reader.artifacts(row, execution, folder)
        if run.state is State.FAILED:
            if not run.failed:
                run.error = reader.why().text
            first = run.first_failed
            about = (first, executions.get(first.name)) if first else ()
            run.explanation = reader.why(*about).help
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
        self, target: Target, run: Run, seen: Workflow, home: Home, objects: Objects
    ) -> None:
        self._target = target
        self._run = run
        self._workflow = seen
        self._home = home
        self._objects = objects
        self._texts: dict[str, str] = {}
        self._warned: set[str] = set()

    def logs(self, row: Task, execution: Execution | None) -> list[str]:
        """Return the logs of a row's pods, each under a line that names it."""
        texts = [
            (pod or "without a pod", self._log(pod, key)) for pod, key in self._pods(row, execution)
        ]
        return [f"==== {row.name} ({pod})\n{text.rstrip()}\n" for pod, text in texts if text]

    def why(self, row: Task | None = None, execution: Execution | None = None) -> Explanation:
        """Return why a row failed, or the run, as `make explain` does."""
        if row and execution and not self._workflow.nodes:
            pod, key = self._archived(execution.pod)
            left = Case(self._facts, Node(row.name, pod=pod, log=key))
            if explained := tell(left, self._target):
                return explained
        return explain(self._facts, self._target, row.name if row else "")

    @cached_property
    def _facts(self) -> Facts:
        try:
            facts = gather(self._target, self._run.id)
        except KitError:
            facts = Facts(self._run.id)
        return replace(
            facts,
            workflow=self._workflow,
            record={"state": "FAILED", "error": {"message": self._run.error}},
            log=lambda node: self._log(node.pod, node.log),
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
            path = below / output.name
            row.artifacts.append(self._artifact(row, output, numbers, folder, path))

    def _artifact(
        self, row: Task, output: Output, numbers: dict[str, Any], folder: Path, path: Path
    ) -> Artifact:
        """Return an artifact, its files brought here unless they are too large."""
        known = output.metadata | numbers
        rounded = [key for key in output.rounded if key not in numbers]
        artifact = Artifact(output.name, output.type, output.uri, metadata=known, rounded=rounded)
        access = self._access(output)
        # What is cached lies in the folder of the run that made it.
        root = self._home.root.replace(self._run.id, row.cached_from or self._run.id)
        own = bool(root) and output.uri.startswith(f"{root}/")
        try:
            objects = self._objects.find(output.uri, access)
            artifact = sized(artifact, objects, own=own)
            if objects is None or objects.size > ARTIFACT_BYTES:
                return artifact
            self._objects.fetch(output.uri, access, objects, folder / path)
            return replace(artifact, path=str(path), sha256=sha256(folder / path))
        except (KitError, OSError) as error:
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
        """Return a row's own pods and the keys of their archived logs, the newest last.

        A task on volumes is a driver, which may have no pod: its name is empty then.
        """
        mine = [n for n in self._workflow.of(row.name) if n.role == "executor" and n.works]
        if mine or self._workflow.nodes or not execution or execution.cached:
            return [(node.pod, node.log) for node in mine]
        return [self._archived(execution.pod)] if execution.pod else []

    @staticmethod
    def _archived(pod: str) -> tuple[str, str]:
        """Return a pod and the key of its log, by the keyFormat of the artifactRepository."""
        named = _POD.match(pod)
        return pod, f"{LOGS}{named['workflow']}/{pod}/main.log" if named else ""

    def _log(self, pod: str, key: str, *, needed: bool = True) -> str:
        """Return the log of a pod, from the archive where there is none; empty if none is."""
        name = pod or key
        if name not in self._texts:
            self._texts[name] = self._read_log(pod, key, needed=needed)
        return self._texts[name]

    def _read_log(self, pod: str, key: str, *, needed: bool) -> str:
        if pod:
            got = self._target.query("logs", pod, "--container=main", check=False)
            if got.ok:
                return got.stdout
        if not key:
            return ""
        bucket, access = archive(self._workflow.repository, self._home)
        try:
            return self._objects.read(f"{bucket}/{key}", access)
        except KitError as error:
            if needed:
                self._warn(error.what)
            return ""

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
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


def give_values(row: Task, execution: Execution | None, spec: Spec) -> None:
    """Give a row its parameters, in the types that its component declares."""
    declared = spec["components"][f"comp-{row.component}"]
    given = execution.inputs if execution else {}
    row.inputs = typed_values(row.inputs | given, declared.get("inputDefinitions", {}))
    if execution:
        row.outputs = typed_values(execution.outputs, declared.get("outputDefinitions", {}))


def sized(artifact: Artifact, found: Listing | None, *, own: bool) -> Artifact:
    """Return an artifact with the size of its files; of too large ones it is said that they stay.

    Args:
        artifact: The artifact.
        found: Its files; None where there are none.
        own: Whether its place is the one that the run's backend gave it. Whoever writes no file has
            that all the same, and it says nothing.
    """
    if found is None:
        return replace(artifact, uri="") if own else artifact
    if found.size > ARTIFACT_BYTES:
        console.say(f"{artifact.uri} stays where it is: {found.size:,} bytes")
    return replace(artifact, size=found.size)


def typed_values(values: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters in the types that a component declares: all numbers come as one kind."""
    kinds = {"NUMBER_DOUBLE": float, "NUMBER_INTEGER": int}

    def typed(name: str, value: Any) -> Any:
        kind = kinds.get(declared.get("parameters", {}).get(name, {}).get("parameterType"))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return kind(value) if kind and number and kind(value) == value else value

    return {name: typed(name, value) for name, value in sorted(values.items())}
