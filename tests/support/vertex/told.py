"""What the stand-in tells of a run's tasks: a `PipelineTaskDetail` for each, as JSON."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any

from kfpkit.kfp.run import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.kfp.run import Run, Task

STATES = {
    State.RUNNING: "RUNNING",
    State.SUCCEEDED: "SUCCEEDED",
    State.FAILED: "FAILED",
    State.CANCELLED: "CANCELLED",
    State.SKIPPED: "NOT_TRIGGERED",
}

#: Of a graph, by what is in it: the first that is there.
_WORST = ("FAILED", "CANCELLED", "RUNNING", "SUCCEEDED", "NOT_TRIGGERED")

#: What Vertex AI says of a task whose program failed; the rest is in its log.
EXITED = (
    "The replica workerpool0-0 exited with a non-zero status of 1. To find out more about why your "
    "job exited please check the logs"
)


def number(job: str, place: str) -> str:
    """Return the ID of an element: a 64-bit integer, which JSON has as a text."""
    return str(-(zlib.crc32(place.encode()) << 24) - zlib.crc32(job.encode()) - 1)


def details(job: str, run: Run) -> list[dict[str, Any]]:
    """Return the tasks of a run that have begun or were left out, the graphs around them first."""
    found: dict[str, dict[str, Any]] = {"": _graph(job, "", job.rpartition("/")[2], "")}
    for row in (row for task in run.tasks for row in (task.rounds or [task])):
        if row.state not in STATES:
            continue
        above = ""
        for place, name in _around(row.name):
            found.setdefault(place, _graph(job, place, name, above))
            above = place
        found[row.name] = _leaf(job, row, above)
    for place, one in found.items():
        if "state" not in one:
            inside = [
                each["state"]
                for name, each in found.items()
                if "executorDetail" in each and _is_in(name, place)
            ]
            one["state"] = next((state for state in _WORST if state in inside), "RUNNING")
    return list(found.values())


def _is_in(name: str, place: str) -> bool:
    return not place or name.startswith((f"{place}/", f"{place}["))


def _around(row: str) -> Iterator[tuple[str, str]]:
    """Yield the graphs and rounds that a row is in: each its place and its name."""
    place = ""
    for part in row.split("/")[:-1]:
        loop, *rounds = re.split(r"\[(\d+)\]", part)
        place = f"{place}/{loop}".removeprefix("/")
        yield place, loop
        for index in rounds[:1]:
            place += f"[{index}]"
            yield place, f"{loop}-iteration-{index}"


def _graph(job: str, place: str, name: str, above: str) -> dict[str, Any]:
    detail = {"taskId": number(job, place), "taskName": name}
    if place:
        detail["parentTaskId"] = number(job, above)
    return detail


def _leaf(job: str, row: Task, above: str) -> dict[str, Any]:
    place = job.rpartition("/pipelineJobs/")[0]
    ran = row.started is not None
    values = {f"input:{name}": value for name, value in row.inputs.items()}
    values |= {f"output:{name}": value for name, value in row.outputs.items()}
    outputs: dict[str, Any] = {}
    for one in row.artifacts if row.state is not State.RUNNING else []:
        listed = outputs.setdefault(one.name, {"artifacts": []})
        listed["artifacts"].append(
            {
                "name": f"{place}/metadataStores/default/artifacts/1",
                "displayName": one.name,
                "uri": one.uri,
                "schemaTitle": one.type,
                "metadata": one.metadata,
            }
        )
    detail: dict[str, Any] = _graph(job, row.name, row.name.rpartition("/")[2], above) | {
        "state": STATES[row.state],
        "executorDetail": {"containerDetail": {"mainJob": f"{place}/customJobs/77"}},
        "execution": {"schemaTitle": "system.ContainerExecution", "metadata": values},
        "outputs": outputs,
    }
    if ran and row.started:
        detail["createTime"] = detail["startTime"] = stamp(row.started)
    if row.finished:
        detail["endTime"] = stamp(row.finished)
    if row.state is State.FAILED:
        detail["error"] = {"code": 9, "message": EXITED}
    return detail


def stamp(moment: Any) -> str:
    """Return a time as the API writes it."""
    return str(moment.isoformat().replace("+00:00", "Z"))
