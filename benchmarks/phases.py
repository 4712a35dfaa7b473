"""Where the time of a run goes: the moments that a watch saw, cut into phases.

A moment is a number of seconds of one clock, that of the program which watches. The kubelet's own
times have whole seconds, and the longest of these phases has few.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from kfpkit.kfp import workflow
from kfpkit.kfp.states import ENDED, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: The moments of a pod, in their order.
MOMENTS = (
    *("created", "scheduled", "sandbox", "initialized"),
    *("started", "ended", "done", "seen", "next"),
)

#: What lies between two of them, by the second one's name.
PHASES = {
    "scheduled": "waits for a node",
    "sandbox": "sandbox and network",
    "initialized": "init containers",
    "started": "main container starts",
    "ended": "main container runs",
    "done": "pod ends",
    "seen": "seen by the controller",
    "next": "next one created",
}

#: Label of a pod, and of its Workflow: whose it is. Annotation of a pod: which node it is.
WORKFLOW = "workflows.argoproj.io/workflow"
NODE = "workflows.argoproj.io/node-id"


@dataclass
class Piece:
    """A pod of a run, or a driver's node that has none.

    Attributes:
        name: The pod's or the node's.
        role: `driver` or `executor`.
        task: Where it stands in the pipeline; empty for the pipeline's own driver.
        moments: When each was first seen; of a node without a pod `created`, `seen`, `next`.
    """

    name: str
    role: str
    task: str
    moments: dict[str, float] = field(default_factory=dict)

    @property
    def has_pod(self) -> bool:
        """Whether it is a pod."""
        return "scheduled" in self.moments


@dataclass
class Seen:
    """What a watch saw of a Workflow.

    Attributes:
        name: Its name.
        created: When it was first seen.
        ended: When its phase was first a final one.
        phase: The last phase.
        pods: By the ID of each pod's node, when it reached what.
        nodes: By a node's ID, when it was first seen, and when first ended.
        status: The last status, whole.
    """

    name: str
    created: float
    ended: float | None = None
    phase: str = ""
    pods: dict[str, dict[str, float]] = field(default_factory=dict)
    nodes: dict[str, dict[str, float]] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)

    def take_pod(self, pod: Mapping[str, Any], now: float) -> None:
        """Note what a pod has reached; its Workflow was there before, whichever is heard first."""
        self.created = min(self.created, now)
        node = pod["metadata"].get("annotations", {}).get(NODE, pod["metadata"]["name"])
        moments = self.pods.setdefault(node, {})
        for name in reached(pod):
            moments.setdefault(name, now)

    def take_workflow(self, item: Mapping[str, Any], now: float) -> None:
        """Note what the Workflow and its nodes have reached."""
        self.status = item.get("status", {})
        self.phase = str(self.status.get("phase", ""))
        if self.ended is None and self.phase in ENDED:
            self.ended = now
        for key, node in workflow.nodes(self.status).items():
            moments = self.nodes.setdefault(key, {"created": now})
            if node.get("phase") in ENDED:
                moments.setdefault("seen", now)


def reached(pod: Mapping[str, Any]) -> list[str]:
    """Return the moments that a pod is at or past, as far as it says so itself."""
    status = pod.get("status", {})
    holds = {c["type"] for c in status.get("conditions", []) if c["status"] == "True"}
    states = [
        state
        for container in status.get("containerStatuses", [])
        if container["name"] == "main"
        for state in container.get("state", {})
    ]
    said = {
        "created": True,
        "scheduled": bool(pod.get("spec", {}).get("nodeName")),
        "sandbox": "PodReadyToStartContainers" in holds,
        "initialized": "Initialized" in holds,
        "started": "running" in states or "terminated" in states,
        "ended": "terminated" in states,
        "done": status.get("phase") in ("Succeeded", "Failed"),
    }
    return [name for name, so in said.items() if so]


def pieces(seen: Seen) -> list[Piece]:
    """Return the pods and the drivers without one of a Workflow, in the order they were created."""
    item = {"metadata": {"name": seen.name}, "status": seen.status}
    known = {
        node.id: node
        for node in workflow.Workflow(item).nodes
        if node.id in seen.pods or (node.type == "Suspend" and node.role == "driver")
    }
    found = {}
    for key, node in known.items():
        moments = seen.pods.get(key, {}) | {
            name: when
            for name, when in seen.nodes[key].items()
            if name == "seen" or key not in seen.pods
        }
        found[key] = Piece(node.pod or node.id, node.role, node.row, complete(moments))
    nodes = workflow.nodes(seen.status)
    before: dict[str, list[str]] = {}
    for key in found:
        for follower in followers(nodes, key, found.keys()):
            before.setdefault(follower, []).append(key)
    for key, earlier in before.items():
        last = max(earlier, key=lambda each: found[each].moments.get("seen", 0))
        moments, created = found[last].moments, found[key].moments["created"]
        if "seen" in moments:
            moments["next"] = min(created, moments.get("next", created))
    for piece in found.values():
        piece.moments = in_order(piece.moments)
    return sorted(found.values(), key=lambda piece: piece.moments["created"])


def followers(nodes: Mapping[str, Any], key: str, wanted: Iterable[str]) -> set[str]:
    """Return the nearest of some nodes that come after one, along Argo's `children`."""
    wanted, found, passed = set(wanted), set(), {key}
    todo = [key]
    while todo:
        for child in nodes.get(todo.pop(), {}).get("children", []):
            if child in wanted:
                found.add(child)
            elif child not in passed:
                passed.add(child)
                todo.append(child)
    return found


def complete(moments: Mapping[str, float]) -> dict[str, float]:
    """Return a pod's moments, those filled in that no event showed.

    One change of a pod can hide another: what was passed unseen is as late as what was seen next.
    """
    if "scheduled" not in moments:
        return dict(moments)
    found: dict[str, float] = {}
    later = None
    for name in reversed(MOMENTS):
        later = moments.get(name, later)
        if later is not None:
            found[name] = later
    return found


def in_order(moments: Mapping[str, float]) -> dict[str, float]:
    """Return moments none of which is before the one that it follows.

    The controller makes the next pod first and then writes down what it has seen: so it had seen it
    by then. Any other disorder is that of two watches, which are not one.
    """
    found = {name: moments[name] for name in MOMENTS if name in moments}
    if "next" in found:
        found["seen"] = min(found["seen"], found["next"])
    least = found.get("created", 0.0)
    for name in found:
        least = found[name] = max(found[name], least)
    return found


def lengths(piece: Piece) -> dict[str, float]:
    """Return the seconds of each phase of a pod; of a driver without one, only what it has."""
    there = [name for name in MOMENTS if name in piece.moments]
    return {
        after: piece.moments[after] - piece.moments[before] for before, after in pairwise(there)
    }


def means(found: Iterable[Piece]) -> dict[str, float]:
    """Return the mean seconds of each phase over the pods that have it."""
    each = [lengths(piece) for piece in found]
    return {
        name: fmean(one[name] for one in each if name in one)
        for name in PHASES
        if any(name in one for one in each)
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the least and the most of some values, and how many they are."""
    return {
        "median": median(values),
        "min": min(values),
        "max": max(values),
        "count": len(values),
    }


def ratios(ours: Mapping[int, float], upstream: Mapping[int, float]) -> list[float]:
    """Return ours as a part of upstream's, round by round, for the rounds that both have."""
    return [ours[number] / upstream[number] for number in sorted(ours.keys() & upstream.keys())]


def succeeded(seen: Seen) -> bool:
    """Whether a Workflow ended well."""
    return seen.ended is not None and seen.phase == Phase.SUCCEEDED
