"""Reading a run's Argo Workflow: which node belongs to which task, and how far each task is.

KFP makes a Workflow of each run, and of each task in it two pods: a driver, which resolves the
inputs and looks into the cache, and the task's own. With the option warm-driver a driver has no
pod: its node is suspended, and the warm driver runs it. A node's name says where it stands in the
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
from kfpkit.kfp.states import BAD, ENDED, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kfpkit.kfp.run import Task

#: Where the workflow-controller's artifactRepository puts the logs of each Workflow.
LOGS = "artifacts/"

#: Parts of a node's name that stand for the rounds of a loop, not for a task.
_ROUNDS = ("iteration-iterations", "iteration-item")
_ROUND_DRIVERS = ("iteration-driver", "iteration-item-driver")

#: What Argo appends: the number of an attempt at a task, or the number and the item of a round.
_NUMBER = re.compile(r"\((\d+)(:[^)]*)?\)$")

#: Annotation of a Workflow: the drivers that the warm driver runs, by their templates, as JSON.
ANNOTATION = "kfpkit.dev/drivers"

#: What the warm driver writes before a driver's last error, and before what it waits for.
_ERROR, _WAITING = "driver: ", "waiting for "

#: What a pod that is not running yet says in the normal course of things.
_NORMAL = ("", "PodInitializing", "ContainerCreating")


@dataclass(frozen=True)
class Node:
    """A node of a Workflow.

    Attributes:
        row: Name of the task that it belongs to, in a loop that of its round:
            `for-loop-1[0]/train`; of a graph's driver the graph's, empty for the pipeline's own.
        role: `driver`, `executor`, or `graph` for what holds others.
        type, phase, message, id, template, started, finished: As Argo has them; types are `Pod`,
            `Suspend`, `Retry`, `DAG`, `Skipped` ... A message has no `driver: ` before it.
        name: Where it stands: the names of the Workflow and of all around it.
        pod: Name of its pod, if it is one.
        host: Where that ran; empty where no host took it.
        children: IDs of the nodes after it, or of its attempts.
        cached: Whether it is a driver that found the task in the cache.
        log: Key of its archived log in the artifact repository, once there is one.
    """

    row: str
    role: str = "executor"
    type: str = "Pod"
    phase: str = Phase.FAILED
    message: str = ""
    id: str = ""
    name: str = ""
    template: str = ""
    pod: str = ""
    host: str = ""
    children: tuple[str, ...] = ()
    started: datetime | None = None
    finished: datetime | None = None
    cached: bool = False
    log: str = ""

    @property
    def failed(self) -> bool:
        """Whether it ended badly."""
        return self.phase in BAD

    @property
    def warm(self) -> bool:
        """Whether it is a driver that the warm driver runs: KFP suspends nothing itself."""
        return self.type == "Suspend"

    @property
    def works(self) -> bool:
        """Whether a program runs for it: in a pod, or in the warm driver."""
        return self.type == "Pod" or self.warm

    @property
    def waits(self) -> bool:
        """Whether it does not go on and its message says why."""
        if self.warm:
            return self.phase == Phase.RUNNING and self.message.startswith(_WAITING)
        return self.phase == Phase.PENDING and self.message not in _NORMAL


class Workflow:
    """A Workflow as it was at one look; false where there is none.

    Args:
        item: As Kubernetes has it; None where there is none.

    Attributes:
        name, spec, status, phase, message, started, finished: As Argo has them, each empty or
            None until it is known.
        drivers: What the warm driver runs for it, as JSON; empty where drivers have pods.
    """

    def __init__(self, item: Mapping[str, Any] | None = None) -> None:
        item = item or {}
        metadata = item.get("metadata", {})
        self.name = str(metadata.get("name", ""))
        self.drivers = str(metadata.get("annotations", {}).get(ANNOTATION, ""))
        self.spec: Mapping[str, Any] = item.get("spec", {})
        self.status: Mapping[str, Any] = item.get("status", {})
        self.phase = str(self.status.get("phase", ""))
        self.message = str(self.status.get("message", ""))
        self.started = _time(self.status.get("startedAt"))
        self.finished = _time(self.status.get("finishedAt"))

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self.name)

    @property
    def repository(self) -> Mapping[str, Any]:
        """Where Argo archives logs, as its configuration has it."""
        reference = self.status.get("artifactRepositoryRef", {})
        repository: Mapping[str, Any] = reference.get("artifactRepository", {})
        return repository

    @cached_property
    def nodes(self) -> list[Node]:
        """Its nodes, in the order in which they started."""
        return sorted((_node(self.name, node) for node in nodes(self.status).values()), key=_order)

    @cached_property
    def graphs(self) -> dict[str, set[str]]:
        """Argo's phases of the nodes of each graph and task, by its name.

        The pipeline's own is empty; a round of a loop is a graph: `for-loop-1[0]`.
        """
        phases: dict[str, set[str]] = {}
        for node in self.nodes:
            # An exit handler hangs at a graph and is none.
            if node.role == "graph" and not node.name.endswith("onExit"):
                phases.setdefault(node.row, set()).add(node.phase)
        return phases

    def of(self, name: str) -> list[Node]:
        """Return the nodes of a task, or of one round of it."""
        return self._by_row.get(name, [])

    @cached_property
    def _by_row(self) -> dict[str, list[Node]]:
        by_row: dict[str, list[Node]] = {}
        for node in self.nodes:
            for row in {node.row, task_of(node.row)}:
                by_row.setdefault(row, []).append(node)
        return by_row


def _node(workflow: str, node: Mapping[str, Any]) -> Node:
    name, template = str(node["name"]), str(node.get("templateName", ""))
    path = _plain(name.removeprefix(workflow).removeprefix("."))
    row, role = path, "graph"
    if template.endswith(("system-container-driver", "system-dag-driver")):
        # A task on volumes has a driver alone.
        row = path.removesuffix("-driver")
        role = "executor" if row == path else "driver"
    elif template.endswith("system-container-impl"):
        row, role = path.removesuffix("/executor"), "executor"
    elif template.startswith("system-importer"):
        role = "executor"  # It has one pod, which does both.
    outputs = node.get("outputs", {})
    logs = (
        artifact.get("s3", artifact.get("gcs", {})).get("key", "")
        for artifact in outputs.get("artifacts", [])
        if artifact["name"] == "main-logs"
    )
    return Node(
        row=row,
        role=role,
        type=node["type"],
        phase=node.get("phase", ""),
        message=node.get("message", "").removeprefix(_ERROR),
        id=str(node["id"]),
        name=name,
        template=template,
        pod=pod_name(node) if node["type"] == "Pod" else "",
        host=node.get("hostNodeName", ""),
        children=tuple(node.get("children", ())),
        started=_time(node.get("startedAt")),
        finished=_time(node.get("finishedAt")),
        cached=any(
            parameter["name"] == "cached-decision" and parameter.get("value") == "true"
            for parameter in outputs.get("parameters", [])
        ),
        log=next((str(key) for key in logs), ""),
    )


def nodes(status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the nodes of a Workflow's status by their IDs, whichever way Argo keeps them.

    Once they are too large for one object (1 MiB), Argo keeps them as gzip in Base64
    (`workflow/packer` of Argo Workflows).
    """
    packed = status.get("compressedNodes")
    if packed:
        unpacked: dict[str, dict[str, Any]] = json.loads(gzip.decompress(base64.b64decode(packed)))
        return unpacked
    return status.get("nodes") or {}


def pod_name(node: Mapping[str, Any]) -> str:
    """Return a node's pod, named as Argo names it: by Workflow, template and the node's number."""
    workflow, _, number = str(node["id"]).rpartition("-")
    return f"{workflow}-{node['templateName']}-{number}"


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
        have.get(name)
        or replace(
            new, name=name, inputs={**task.inputs}, outputs={}, artifacts=[], phases={}, spans=[]
        )
        for name in names
    ]
    return task.rounds


def update(task: Task, seen: Workflow) -> bool:
    """Bring a task and its rounds to where their nodes are, and return whether it changed state.

    Args:
        task: The task.
        seen: The Workflow.
    """
    before = task.state
    rows = set_rounds(task, [node.row for node in seen.nodes])
    for row in rows:
        _update(row, seen)
    if task.rounds:
        loop = next(graph for graph in graphs_of(task.name) if rows[0].name.startswith(f"{graph}["))
        sum_up(task, over=all(phase in ENDED for phase in seen.graphs.get(loop, ())))
    return task.state is not before


def _update(row: Task, seen: Workflow) -> None:
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


def _state_of_graphs(row: str, seen: Workflow) -> State | None:
    """Return the state of a row that has no nodes, by the graphs that it is in."""
    phases = [seen.graphs[graph] for graph in graphs_of(row) if graph in seen.graphs]
    if any(Phase.SKIPPED in graph for graph in phases):
        return State.SKIPPED
    ended = any(all(phase in ENDED for phase in graph) for graph in phases)
    return State.NOT_RUN if ended else None


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
    if any(node.phase not in ENDED for node in drivers + work + graphs):
        return (State.RUNNING if drivers + work else None), False
    if graphs and all(node.phase == Phase.SKIPPED for node in graphs):
        return State.SKIPPED, False
    if mine and all(node.phase == Phase.OMITTED for node in mine):
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


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
