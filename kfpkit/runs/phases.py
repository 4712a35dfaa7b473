"""Where the time of a run's tasks went, from its Workflow and its pods.

Argo and Kubernetes write times in whole seconds, so each phase is exact to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kfpkit.kfp.run import Phase, State
from kfpkit.kfp.workflow import round_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfpkit.kfp.run import Run
    from kfpkit.kfp.workflow import Workflow
    from kfpkit.kube.kubectl import Kubectl


@dataclass(frozen=True)
class Attempt:
    """When a pod got how far; None where it did not, or not yet.

    Attributes:
        created: It was made.
        placed: A node took it.
        began: Its main container began.
        ended: That ended.
    """

    created: datetime | None
    placed: datetime | None
    began: datetime | None
    ended: datetime | None


def attempts(target: Kubectl, selector: str) -> dict[str, Attempt]:
    """Return how far the pods of a run got that are there, by their names.

    Args:
        target: Where they are.
        selector: kubectl's option that selects them.

    Raises:
        CommandError: The cluster does not answer, or refuses.
    """
    pods = target.items(["pods"], selector)
    return {pod["metadata"]["name"]: _attempt(pod) for pod in pods}


def spend(run: Run, seen: Workflow, pods: Mapping[str, Attempt]) -> None:
    """Note for each row of a run what its time went into, as far as that is known.

    Args:
        run: The run, whose rows have their states and times.
        seen: Its Workflow.
        pods: How far its pods got, by name.
    """
    if not seen.nodes:
        return
    wait(run)
    for row in run.rows:
        ready: datetime | None = None
        for node in seen.of(row.name):
            if not node.works:
                continue
            if node.template.endswith("-driver"):
                row.spend(Phase.DRIVER, node.started, node.finished)
            else:
                row.spend(Phase.WAITING, ready, node.started)
                if pod := pods.get(node.pod):
                    row.spend(Phase.WAITING, pod.created, pod.placed)
                    row.spend(Phase.START, pod.placed, pod.began)
                    row.spend(Phase.WORK, pod.began, pod.ended)
            ready = node.finished


def wait(run: Run) -> None:
    """Note how long each row waited for its turn when all that it depends on had ended."""
    rows = {each.name: each for task in run.tasks for each in (task, *task.rounds)}
    for row in run.rows:
        before = [rows.get(round_of(row.name, name), rows[name]) for name in row.depends_on]
        ends = [one.finished for one in before if one.state not in (State.SKIPPED, State.NOT_RUN)]
        known = [end for end in (run.started, *ends) if end]
        if len(known) == len(ends) + 1:
            row.spend(Phase.WAITING, max(known), row.started)


def _attempt(pod: Mapping[str, Any]) -> Attempt:
    status = pod.get("status", {})
    placed = (
        each.get("lastTransitionTime")
        for each in status.get("conditions", [])
        if each["type"] == "PodScheduled" and each["status"] == "True"
    )
    main = (
        each.get("state", {})
        for each in status.get("containerStatuses", [])
        if each["name"] == "main"
    )
    state: Mapping[str, Any] = next(main, {})
    ended = state.get("terminated", {})
    return Attempt(
        _time(pod["metadata"].get("creationTimestamp")),
        _time(next(placed, None)),
        _time(ended.get("startedAt")),
        _time(ended.get("finishedAt")),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
