"""Reading a run's Argo Workflow: which node belongs to which task, and how far each task is.

KFP makes a Workflow of each run, and of each task in it two pods: a driver, which resolves the
inputs and looks into the cache, and the task's own. A node's name says where it stands in the
pipeline: `penguins-x7k2p.root.train-driver`, `penguins-x7k2p.root.train.executor`; in a loop,
`penguins-x7k2p.root.for-loop-1.iteration-iterations(0:0).iteration-item.train.executor`.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kfpkit.kfp.run import ROUND, State, sum_up, task_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from kfpkit.kfp.run import Task

#: Where the workflow-controller's artifactRepository puts the logs of each Workflow.
LOGS = "artifacts/"

#: Parts of a node's name that stand for the rounds of a loop, not for a task.
_ROUNDS = ("iteration-iterations", "iteration-item")
_ROUND_DRIVERS = ("iteration-driver", "iteration-item-driver")

#: What Argo appends: the number of an attempt at a task, or the number and the item of a round.
_NUMBER = re.compile(r"\((\d+)(:[^)]*)?\)$")

_OVER = ("Succeeded", "Failed", "Error", "Skipped", "Omitted")

#: Argo's phases of a Workflow or a node that ended badly.
BAD = ("Failed", "Error")

#: What a pod that is not running yet says in the normal course of things.
_NORMAL = ("", "PodInitializing", "ContainerCreating")


@dataclass(frozen=True)
class Node:
    """A node of a Workflow that belongs to a task, or a pod that belongs to none.

    Attributes:
        name: Where it stands, without the Workflow's own name.
        row: Name of the task, in a loop that of its round: `for-loop-1[0]/train`; empty for a
            graph's driver.
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
    row: str
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
        return self.phase in BAD


@dataclass(frozen=True)
class Seen:
    """A Workflow as it was at one look.

    Attributes:
        name: Its name; empty where there is no Workflow.
        status: Its status, as Argo has it.
        nodes: The nodes of tasks and the drivers of graphs, in the order in which they started.
        graphs: Argo's phases of the nodes of each graph, by its name (empty for the pipeline's
            own); a round of a loop is a graph: `for-loop-1[0]`.
    """

    name: str
    status: Mapping[str, Any]
    nodes: list[Node]
    graphs: Mapping[str, Collection[str]]

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

    @property
    def phase(self) -> str:
        """Argo's phase of it; empty where there is none yet."""
        return str(self.status.get("phase", ""))

    def of(self, name: str) -> list[Node]:
        """Return the nodes of a task, or of one round of it."""
        return self._by_name.get(name, [])

    @cached_property
    def _by_name(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in {node.row, task_of(node.row)}:
                found.setdefault(name, []).append(node)
        return found


def read(workflow: Mapping[str, Any], tasks: Collection[str]) -> Seen:
    """Return what a Workflow tells.

    Args:
        workflow: The Workflow object.
        tasks: Names of the run's tasks.
    """
    name = workflow["metadata"]["name"]
    status = workflow.get("status", {})
    found = []
    graphs: dict[str, set[str]] = {}
    for node in nodes(status).values():
        path = str(node["name"]).removeprefix(f"{name}.")
        placed = _place(path, node, tasks)
        if placed is None and "-driver" not in node.get("templateName", ""):
            if not path.endswith("onExit"):  # which hangs at a graph and is none
                graphs.setdefault(_plain(path), set()).add(node.get("phase", ""))
            continue
        row, role = placed or ("", "driver")
        found.append(
            Node(
                name=path,
                row=row,
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
    return Seen(name, status, sorted(found, key=_order), graphs)


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


def row_of(node: Mapping[str, Any]) -> str:
    """Return the row that a node of a Workflow belongs to; empty for the run's own."""
    row = _plain(str(node["name"]).partition(".")[2]).removesuffix("/executor")
    return row.removesuffix("-driver") if "-driver" in node.get("templateName", "") else row


def round_of(row: str, task: str) -> str:
    """Return the row of another task in the same rounds, as far as both are in the same loops."""
    parts = task.split("/")
    for place, part in enumerate(row.split("/")[: len(parts) - 1]):
        if task_of(part) != parts[place]:
            break
        parts[place] = part
    return "/".join(parts)


def graphs_of(row: str) -> Iterator[str]:
    """Yield the names of the graphs around a row, the pipeline's own (empty) first."""
    yield ""
    for match in re.finditer("/", row):
        yield row[: match.start()]


def set_rounds(task: Task, known: Iterable[str]) -> list[Task]:
    """Give a task inside loops its rounds, and return the rows: these, or the task alone.

    Args:
        task: The task.
        known: Names of rows and of graphs, from which the rounds of each loop are known.
    """
    rounds: dict[str, set[int]] = {}
    for name in known:
        for match in ROUND.finditer(name):
            rounds.setdefault(name[: match.start()], set()).add(int(match[1]))
    names = [""]
    for part in task.name.split("/"):
        graphs = [f"{outer}/{part}".removeprefix("/") for outer in names]
        names = [
            f"{graph}[{number}]" if number is not None else graph
            for graph in graphs
            for number in (*sorted(rounds.get(graph, ())),) or (None,)
        ]
    if names == [task.name]:
        return [task]
    have = {row.name: row for row in task.rounds}
    new = replace(task, state=State.PENDING, started=None, finished=None, cached=False, rounds=[])
    task.rounds = [
        have.get(name) or replace(new, name=name, inputs={**task.inputs}, outputs={}, artifacts=[])
        for name in names
    ]
    return task.rounds


def update(task: Task, seen: Seen) -> bool:
    """Bring a task and its rounds to where their nodes are, and return whether it changed state.

    Args:
        task: The task.
        seen: The Workflow.
    """
    before = task.state
    rows = set_rounds(task, [*seen.graphs, *(node.row for node in seen.nodes)])
    for row in rows:
        _update(row, seen)
    if task.rounds:
        loop = next(graph for graph in graphs_of(task.name) if rows[0].name.startswith(f"{graph}["))
        sum_up(task, over=all(phase in _OVER for phase in seen.graphs.get(loop, ())))
    return task.state is not before


def _update(row: Task, seen: Seen) -> None:
    mine = seen.of(row.name)
    state, cached = _state(mine) if mine else (_state_of_graphs(row.name, seen), False)
    if state is None:
        return
    working = [node for node in mine if node.role != "graph" and node.type != "Skipped"]
    starts = [node.started for node in working if node.started]
    ends = [node.finished for node in working if node.finished]
    row.state = state
    row.cached = cached
    row.started = min(starts) if starts else None
    over = state in (State.SUCCEEDED, State.FAILED)
    row.finished = max(ends) if over and starts and ends else None


def _state_of_graphs(row: str, seen: Seen) -> State | None:
    """Return the state of a row that has no nodes, by the graphs that it is in."""
    phases = [seen.graphs[graph] for graph in graphs_of(row) if graph in seen.graphs]
    if any("Skipped" in found for found in phases):
        return State.SKIPPED
    ended = any(all(phase in _OVER for phase in found) for found in phases)
    return State.NOT_RUN if ended else None


def waiting(mine: list[Node]) -> str:
    """Return why a task's pod does not start; empty where nothing is amiss."""
    for node in mine:
        if node.phase == "Pending" and node.message not in _NORMAL:
            return node.message
    return ""


def bad_pod(mine: list[Node]) -> Node | None:
    """Return the pod of a failed row that tells why: that of its last attempt."""
    return next((node for node in reversed(mine) if node.type == "Pod" and node.failed), None)


def _order(node: Node) -> tuple[datetime, int, str]:
    attempt = _NUMBER.search(node.name)  # two of them can start in one second
    far = datetime.max.replace(tzinfo=UTC)
    return node.started or far, int(attempt[1]) if attempt else 0, node.pod


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
    """Return where a node stands as rows are named: `loop[0]/inner`, without what Argo adds."""
    parts: list[str] = []
    for whole in path.split("."):
        part = _NUMBER.sub("", whole)
        if part == "onExit":
            # An exit task hangs at the one that it follows, but is a task beside it.
            parts.pop()
        elif part in _ROUND_DRIVERS:
            parts[-1] += "-driver"
        elif part in _ROUNDS:
            if number := _NUMBER.search(whole):
                parts[-1] += f"[{number[1]}]"
        else:
            parts.append(part)
    return "/".join(parts).removeprefix("root").removeprefix("/")


def _place(path: str, node: Mapping[str, Any], tasks: Collection[str]) -> tuple[str, str] | None:
    """Return the row that a node belongs to, and its role there."""
    template = node.get("templateName", "")
    whole = _plain(path)
    outer, _, last = whole.rpartition("/")
    if last == "executor" and task_of(outer) in tasks:
        return outer, "executor"
    if task_of(whole) in tasks:
        # An importer has one pod, which does both; tasks on volumes have a driver alone.
        single = template.startswith("system-importer") or "-driver" in template
        return whole, "executor" if single else "graph"
    owner = whole.removesuffix("-driver")
    return (owner, "driver") if "-driver" in template and task_of(owner) in tasks else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
