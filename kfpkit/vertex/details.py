"""What Vertex AI tells of a run's tasks, in the terms that the kit has for KFP's own metadata.

`PipelineJob.job_detail.task_details` is a list of tasks, graphs and rounds, each with the ID of
what it is in (google.cloud.aiplatform.v1 `PipelineTaskDetail`). How the rounds of a loop appear in
it is written nowhere: they are found whether each is an element of its own, between the loop and
its tasks, or the loop has each of its tasks several times.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kfpkit.kfp import metadata
from kfpkit.kfp.metadata import Execution, Output
from kfpkit.kfp.run import State
from kfpkit.kfp.values import as_passed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfpkit.kfp.spec import Spec

Detail = dict[str, Any]

#: By `PipelineTaskDetail.State`; SKIPPED is a task whose outputs came from the cache.
_STATES = {
    "PENDING": State.PENDING,
    "RUNNING": State.RUNNING,
    "SUCCEEDED": State.SUCCEEDED,
    "CANCEL_PENDING": State.RUNNING,
    "CANCELLING": State.RUNNING,
    "CANCELLED": State.CANCELLED,
    "FAILED": State.FAILED,
    "SKIPPED": State.SUCCEEDED,
    "NOT_TRIGGERED": State.SKIPPED,
}

_NUMBER = re.compile(r"\d+$")


def place(job: Mapping[str, Any], spec: Spec) -> tuple[dict[str, Execution], dict[str, Detail]]:
    """Return what a run's tasks and graphs are, and what Vertex AI says of each, by their rows.

    Args:
        job: The `PipelineJob` as JSON.
        spec: The compiled pipeline.
    """
    tree = _Tree(job.get("jobDetail", {}).get("taskDetails", []), spec)
    placed = metadata.place(tree.executions, spec)
    return placed, {
        name: tree.details[execution.id]
        for name, execution in placed.items()
        if execution.id in tree.details
    }


def moment(text: str | None) -> datetime | None:
    """Return a time of the API."""
    return datetime.fromisoformat(text) if text else None


class _Tree:
    """Numbers the elements anew, each after what it is in; the pipeline itself is the first."""

    def __init__(self, listed: list[Detail], spec: Spec) -> None:
        self.executions = [Execution(1, "", 0)]
        self.details: dict[int, Detail] = {}
        self._spec = spec
        self._inside: dict[str, list[Detail]] = defaultdict(list)
        known = {detail["taskId"] for detail in listed if "taskId" in detail}
        for detail in sorted(listed, key=_age):
            above = detail.get("parentTaskId", "")
            self._inside[above if above in known else ""].append(detail)
        top = spec["root"]["dag"]["tasks"]
        for detail in self._inside[""]:
            # The pipeline itself is an element, too, called as the run.
            for one in [detail] if _key(detail, top) else self._inside[detail.get("taskId", "")]:
                self._add(one, 1, spec["root"])

    def _add(self, detail: Detail, graph: int, inside_of: Spec) -> None:
        tasks = inside_of["dag"]["tasks"]
        key = _key(detail, tasks)
        if key is None:
            return
        task = tasks[key]
        execution = self._new(detail, key, graph)
        self.details[execution.id] = detail
        component = self._spec["components"][task["componentRef"]["name"]]
        if "dag" not in component:
            return
        inside = self._inside[detail.get("taskId", "")]
        if not {"parameterIterator", "artifactIterator"} & task.keys():
            for one in inside:
                self._add(one, execution.id, component)
            return
        for number, members in enumerate(self._rounds(inside, component)):
            own = Execution(len(self.executions) + 1, "", execution.id, round=number)
            self.executions.append(own)
            for member in members:
                self._add(member, own.id, component)

    def _rounds(self, inside: list[Detail], component: Spec) -> list[list[Detail]]:
        """Return the tasks of each round of a loop."""
        members = component["dag"]["tasks"]
        if any(_key(detail, members) for detail in inside):
            rounds: list[list[Detail]] = []
            times: dict[str, int] = defaultdict(int)
            for detail in inside:
                name = detail.get("taskName", "")
                if times[name] == len(rounds):
                    rounds.append([])
                rounds[times[name]].append(detail)
                times[name] += 1
            return rounds
        numbers = [_NUMBER.search(detail.get("taskName", "")) for detail in inside]
        if len({n[0] for n in numbers if n}) == len(inside):
            inside = sorted(inside, key=lambda d: int(_NUMBER.search(d["taskName"])[0]))  # type: ignore[index]
        return [self._inside[detail.get("taskId", "")] for detail in inside]

    def _new(self, detail: Detail, task: str, graph: int) -> Execution:
        values = as_passed(detail.get("execution", {}).get("metadata", {}))
        state = detail.get("state", "")
        execution = Execution(
            id=len(self.executions) + 1,
            task=task,
            graph=graph,
            state=_STATES.get(state, State.PENDING),
            cached=state == "SKIPPED",
            started=moment(detail.get("startTime") or detail.get("createTime")),
            finished=moment(detail.get("endTime")),
            inputs=_of(values, "input:"),
            outputs=_of(values, "output:"),
            artifacts=[
                _output(name, one)
                for name, listed in sorted(detail.get("outputs", {}).items())
                for one in listed.get("artifacts", [])
            ],
        )
        self.executions.append(execution)
        return execution


def _key(detail: Detail, tasks: Mapping[str, Any]) -> str | None:
    """Return the task of a graph that an element is; None where it is none."""
    return metadata.task_called(detail.get("taskName", ""), tasks)


def _age(detail: Detail) -> tuple[datetime, int]:
    far = datetime.max.replace(tzinfo=UTC)
    return moment(detail.get("createTime")) or far, int(detail.get("taskId", 0))


def _of(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix) and "pipelinechannel--" not in name
    }


def _output(name: str, artifact: Mapping[str, Any]) -> Output:
    return Output(
        name,
        artifact.get("schemaTitle", "system.Artifact"),
        artifact.get("uri", ""),
        as_passed(artifact.get("metadata", {})),
        {},
    )
