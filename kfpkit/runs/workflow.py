"""Reading a run's Argo Workflow: which node belongs to which task, and how far each task is.

KFP makes a Workflow of each run, and of each task in it two pods: a driver, which resolves the
inputs and looks into the cache, and the task's own. A node's name says where it stands in the
pipeline: `penguins-x7k2p.root.train-driver`, `penguins-x7k2p.root.train.executor`.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kfpkit.runs.run import State

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kfpkit.runs.run import Task

#: Where the workflow-controller's artifactRepository puts the logs of each Workflow.
LOGS = "artifacts/"

#: Parts of a node's name that stand for the rounds of a loop, not for a task.
_ROUNDS = ("iteration-iterations", "iteration-item")
_ROUND_DRIVERS = ("iteration-driver", "iteration-item-driver")

#: What Argo appends for the rounds of a loop and for the attempts at a task.
_NUMBER = re.compile(r"\([^)]*\)")

_OVER = ("Succeeded", "Failed", "Error", "Skipped", "Omitted")
_BAD = ("Failed", "Error")

#: What a pod that is not running yet says in the normal course of things.
_NORMAL = ("", "PodInitializing", "ContainerCreating")


@dataclass(frozen=True)
class Node:
    """A node of a Workflow that belongs to a task, or a pod that belongs to none.

    Attributes:
        name: Where it stands, without the Workflow's own name.
        task: Name of the task, as `kfpkit.runs.spec.tasks` names it; empty for a graph's driver.
        role: `driver`, `executor`, or `graph` for the node that holds both.
        type: Argo's type: `Pod`, `Retry`, `DAG`, `Skipped` ...
        phase: Argo's phase.
        message: What Argo says about it.
        pod: Name of its pod, if it is one.
        started: When it started.
        finished: When it finished.
        cached: Whether it is a driver that found the task in the cache.
        log: Key of its archived log in the artifact repository, once there is one.
    """

    name: str
    task: str
    role: str
    type: str
    phase: str
    message: str
    pod: str
    started: datetime | None
    finished: datetime | None
    cached: bool
    log: str

    @property
    def failed(self) -> bool:
        """Whether it ended badly."""
        return self.phase in _BAD


@dataclass(frozen=True)
class Seen:
    """A Workflow as it was at one look.

    Attributes:
        status: Its status, as Argo has it.
        nodes: The nodes of tasks and the pods of graphs, in the order in which they started.
        graphs: By the name of each graph (empty for the pipeline's own), the metadata server's
            numbers for it; a loop has one for each of its rounds.
    """

    status: Mapping[str, Any]
    nodes: list[Node]
    graphs: Mapping[str, Collection[int]]

    @property
    def started(self) -> datetime | None:
        """When it started."""
        return _time(self.status.get("startedAt"))

    @property
    def finished(self) -> datetime | None:
        """When it finished."""
        return _time(self.status.get("finishedAt"))

    @property
    def message(self) -> str:
        """What Argo says about it."""
        return str(self.status.get("message", ""))

    @property
    def repository(self) -> Mapping[str, Any]:
        """Where Argo archives logs, as its configuration has it."""
        reference = self.status.get("artifactRepositoryRef", {})
        found: Mapping[str, Any] = reference.get("artifactRepository", {})
        return found

    def of(self, task: Task) -> list[Node]:
        """Return the nodes of a task."""
        return [node for node in self.nodes if node.task == task.name]


def read(workflow: Mapping[str, Any], tasks: Collection[str]) -> Seen:
    """Return what a Workflow tells.

    Args:
        workflow: The Workflow object.
        tasks: Names of the run's tasks.
    """
    name = workflow["metadata"]["name"]
    status = workflow.get("status", {})
    found = []
    graphs: dict[str, set[int]] = {}
    for node in nodes(status).values():
        path = str(node["name"]).removeprefix(f"{name}.")
        placed = _place(path, node, tasks)
        if placed is None and node["type"] != "Pod":
            continue
        task, role = placed or ("", "driver")
        execution = _outputs(node).get("execution-id", "")
        if execution.isdecimal():
            graphs.setdefault(_plain(path).removesuffix("-driver"), set()).add(int(execution))
        found.append(
            Node(
                name=path,
                task=task,
                role=role,
                type=node["type"],
                phase=node.get("phase", ""),
                message=node.get("message", ""),
                pod=pod_name(node) if node["type"] == "Pod" else "",
                started=_time(node.get("startedAt")),
                finished=_time(node.get("finishedAt")),
                cached=from_cache(node),
                log=archived_log(node),
            )
        )
    far = datetime.max.replace(tzinfo=UTC)
    return Seen(status, sorted(found, key=lambda node: (node.started or far, node.pod)), graphs)


def nodes(status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the nodes of a Workflow's status by their IDs, whichever way Argo keeps them.

    Once they are too large for one object (1 MiB), Argo keeps them as gzip in Base64
    (`workflow/packer` of Argo Workflows).
    """
    packed = status.get("compressedNodes")
    if packed:
        found: dict[str, dict[str, Any]] = json.loads(gzip.decompress(base64.b64decode(packed)))
        return found
    return status.get("nodes") or {}


def pod_name(node: Mapping[str, Any]) -> str:
    """Return a node's pod, named as Argo names it: by Workflow, template and the node's number."""
    workflow, _, number = str(node["id"]).rpartition("-")
    return f"{workflow}-{node['templateName']}-{number}"


def archived_log(node: Mapping[str, Any]) -> str:
    """Return the key of a node's log in the artifact repository; empty where there is none."""
    for artifact in node.get("outputs", {}).get("artifacts", []):
        if artifact["name"] == "main-logs":
            return str(artifact.get("s3", artifact.get("gcs", {})).get("key", ""))
    return ""


def from_cache(node: Mapping[str, Any]) -> bool:
    """Return whether a node is a driver that found its task in the cache."""
    return _outputs(node).get("cached-decision") == "true"


def _outputs(node: Mapping[str, Any]) -> dict[str, str]:
    """Return a node's output parameters."""
    parameters = node.get("outputs", {}).get("parameters", [])
    return {parameter["name"]: parameter.get("value", "") for parameter in parameters}


def update(task: Task, mine: list[Node]) -> bool:
    """Bring a task to where its nodes are, and return whether its state changed.

    Args:
        task: The task.
        mine: Its nodes, in the order in which they started.
    """
    before = task.state
    state, cached = _state(mine)
    if state is None:
        return False
    working = [node for node in mine if node.role != "graph" and node.type in ("Pod", "Retry")]
    starts = [node.started for node in working if node.started]
    ends = [node.finished for node in working if node.finished]
    task.state = state
    task.cached = cached
    task.started = min(starts) if starts else None
    over = state in (State.SUCCEEDED, State.FAILED)
    task.finished = max(ends) if over and starts and ends else None
    return task.state is not before


def waiting(mine: list[Node]) -> str:
    """Return why a task's pod does not start; empty where nothing is amiss."""
    for node in mine:
        if node.phase == "Pending" and node.message not in _NORMAL:
            return node.message
    return ""


def bad_pods(mine: list[Node]) -> list[Node]:
    """Return the pods of a failed task that tell why, the last attempts only."""
    return [node for node in mine if node.type == "Pod" and node.failed][-1:]


def _state(mine: list[Node]) -> tuple[State | None, bool]:
    graphs = [node for node in mine if node.role == "graph"]
    drivers = [node for node in mine if node.role == "driver"]
    work = [node for node in mine if node.role == "executor"]
    if any(node.type == "Retry" for node in work):
        # It stands for its attempts, of which the last decides.
        work = [node for node in work if node.type == "Retry"]
    if any(node.failed for node in drivers + work):
        return State.FAILED, False
    if any(node.phase not in _OVER for node in drivers + work + graphs):
        return (State.RUNNING if drivers + work else None), False
    if graphs and all(node.phase == "Skipped" for node in graphs):
        return State.SKIPPED, False
    if mine and all(node.phase == "Omitted" for node in mine):
        return State.NOT_RUN, False
    if any(node.failed for node in graphs):
        return State.FAILED, False
    if not work:
        # The driver is done, and the task's own pod is still to come.
        return (State.RUNNING if drivers else None), False
    return State.SUCCEEDED, bool(drivers) and all(driver.cached for driver in drivers)


def _plain(path: str) -> str:
    """Return where a node stands as tasks are named: `outer/inner`, without what Argo adds."""
    parts: list[str] = []
    for part in _NUMBER.sub("", path).split("."):
        if part == "onExit":
            # An exit task hangs at the one that it follows, but is a task beside it.
            parts.pop()
        elif part in _ROUND_DRIVERS:
            parts[-1] += "-driver"
        elif part not in _ROUNDS:
            parts.append(part)
    return "/".join(parts).removeprefix("root").removeprefix("/")


def _place(path: str, node: Mapping[str, Any], tasks: Collection[str]) -> tuple[str, str] | None:
    """Return the task that a node belongs to, and its role there."""
    template = node.get("templateName", "")
    whole = _plain(path)
    outer, _, last = whole.rpartition("/")
    if last == "executor" and outer in tasks:
        return outer, "executor"
    if whole in tasks:
        # An importer has one pod, which does both; tasks on volumes have a driver alone.
        single = template.startswith("system-importer") or "-driver" in template
        return whole, "executor" if single else "graph"
    owner = whole.removesuffix("-driver")
    return (owner, "driver") if "-driver" in template and owner in tasks else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
