"""What there is to see of a run, and of each node of its Workflow that is to be explained."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kfpkit.kfp import log
from kfpkit.kfp.states import Phase
from kfpkit.kfp.workflow import Node, Workflow
from kfpkit.kube import health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


Object = dict[str, Any]

#: Annotation of a pod: which node of the Workflow it is.
NODE = "workflows.argoproj.io/node-id"

#: Argo's event of a pod that no node took; it stays when the pod has found one.
UNSCHEDULED = "FailedScheduling"


@dataclass(frozen=True)
class Facts:
    """What there is to see of a run.

    Attributes:
        run: Its ID.
        workflow: Empty where Kubernetes no longer has it.
        pods: Its pods.
        events: Those of the Workflow and of the pods, and any others; only warnings are read.
        record: What the API says: `state`, and `error` with a `message` perhaps.
        log: Returns the log of a node's main container, of its pod or the one that was kept.
        away: Returns why the warm driver is away; empty where it is there, or not known to be away.
    """

    run: str
    workflow: Workflow = field(default_factory=Workflow)
    pods: list[Object] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)
    record: Object = field(default_factory=dict)
    log: Callable[[Node], str] = lambda _: ""
    away: Callable[[], str] = lambda: ""

    @property
    def state(self) -> str:
        """How the run stands, as Argo or the API says it."""
        if self.workflow:
            return self.workflow.phase or Phase.PENDING
        return str(self.record.get("state") or "unknown")

    def warnings(self, name: str) -> list[Object]:
        """Return the warnings about an object, the newest last."""
        about = [
            event
            for event in self.events
            if event.get("type") == "Warning"
            and event["involvedObject"].get("name") == name
            # Argo tells of each node, and of those around it that failed with it.
            and not re.fullmatch(r"(\w+ node \S+)?", event.get("message") or "")
        ]
        # Either time may be absent or null.
        return sorted(about, key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")


@dataclass(frozen=True)
class Case:
    """What is to be explained: a node of a run's Workflow, or the run itself (role `run`)."""

    facts: Facts
    node: Node

    @cached_property
    def pod(self) -> Object:
        """The pod; empty where it has gone, or never was."""
        by_node = {p["metadata"].get("annotations", {}).get(NODE): p for p in self.facts.pods}
        return by_node.get(self.node.id, {})

    @property
    def pod_name(self) -> str:
        """Name of the pod; empty where it never was. Argo notes the host of one that has gone."""
        node = self.node
        return node.pod if self.pod or node.phase != Phase.ERROR or node.host else ""

    @property
    def begun(self) -> bool:
        """Whether a program ran for it, in a pod or in the warm driver."""
        return bool(self.pod_name) or self.node.warm

    @property
    def step(self) -> str:
        """The step as its author knows it, with its round: `for-loop-1[0]/train`."""
        return self.node.row or ("the run itself" if "." in self.node.name else self.node.name)

    @cached_property
    def messages(self) -> list[str]:
        """What the pod says of its trouble; and events, of one that waits or left no log."""
        failed = self.node.failed
        messages = list(_pod_says(self.pod, failed=failed))
        waits = self.pod.get("status", {}).get("phase") == "Pending"
        if self.pod_name and (not self.log.text if failed else waits):
            messages += [
                f"{event.get('reason')}: {event['message']}"
                for event in self.facts.warnings(self.pod_name)
                # The pod itself says whether that is still so.
                if event.get("reason") != UNSCHEDULED
            ]
        return messages

    @cached_property
    def log(self) -> log.Log:
        """The log of what failed; of a driver without one, the error in its message."""
        text = self.facts.log(self.node) if self.node.failed and self.begun else ""
        if self.node.failed and self.node.warm and not text:
            return log.of_driver(self.node.message)
        return log.read(text)


def _pod_says(pod: Object, *, failed: bool) -> Iterator[str]:
    status = pod.get("status", {})
    if pod and not failed:
        sickness = health.sick_pod(pod)
        if sickness and sickness.reason != "crash loop":
            yield f"{sickness.reason}: {sickness.detail}"
    yield from filter(None, [f"{status.get('reason', '')} {status.get('message', '')}".strip()])
    for container in status.get("containerStatuses", []):
        ended = container.get("state", {}).get("terminated", {})
        if ended.get("reason") == "OOMKilled":
            yield f"OOMKilled: {container['name']} (exit code {ended.get('exitCode')})"
