"""Recurring runs on Vertex AI: its schedules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kfpkit.core import durations
from kfpkit.core.errors import BadInputError
from kfpkit.runs.recurring import RecurringRun, of_name
from kfpkit.runs.schedule import When
from kfpkit.vertex import client
from kfpkit.vertex.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kfpkit.kfp.targets_file import Vertex

_HOUR, _DAY = 3600, 86400

#: The greatest value of each field; and a step that begins at a value and has no end: KFP reads
#: `5/15` as `5-59/15`, and other readers of cron expressions take it for something else.
_LAST = (59, 23, 31, 12, 6)
_OPEN = re.compile(r"\b(?<!-)(\w+)/")

#: What makes two schedules of a name and a time the same.
_SAME = ("pipelineSpec", "runtimeConfig", "labels", "serviceAccount", "network")


def cron(when: When) -> str:
    """Return when a schedule is due as Vertex AI takes it: a cron expression of five fields.

    Raises:
        BadInputError: It cannot be said so: it is not exact to a minute, or a time between two runs
            that no hour or day is a multiple of.
    """
    if when.cron:
        second, _, rest = when.cron.partition(" ")
        if second != "0":
            raise BadInputError(
                f"the second of the cron expression is {second!r}, and Vertex AI's schedules are "
                "exact to a minute",
                f'Write 0: "0 {rest}"',
            )
        fields = zip(rest.replace("?", "*").split(), _LAST, strict=True)
        return " ".join(_OPEN.sub(rf"\1-{last}/", field) for field, last in fields)
    seconds = when.seconds
    if seconds % 60 == 0 and _HOUR % seconds == 0:
        return "0 * * * *" if seconds == _HOUR else f"*/{seconds // 60} * * * *"
    if seconds % _HOUR == 0 and _DAY % seconds == 0:
        return "0 0 * * *" if seconds == _DAY else f"0 */{seconds // _HOUR} * * *"
    raise BadInputError(
        f"Vertex AI's schedules are cron expressions, and none is every {durations.write(seconds)}",
        "Give CRON=, or a time of which an hour or a day is a multiple: 1m, 15m, 1h, 6h, 1d",
    )


def put(target: Vertex, job: Any, when: When, name: str) -> str:
    """Make a schedule, or replace those of its name; nothing where it is there already.

    Args:
        target: Where it is to be.
        job: What `jobs.prepare` returned; the schedule stays with it.
        when: When it is due. A run is not started while the one before it goes on.
        name: Its display name.

    Returns:
        What was done, for a person.

    Raises:
        KitError: Vertex AI does not answer, or refuses.
    """
    due = cron(when)
    aiplatform = client.connect(target)
    Storage(target).require_bucket()
    before = [one for one in _all(target) if one.display_name == name]
    wanted = job.to_dict() | {
        key: value
        for key, value in (("serviceAccount", target.service_account), ("network", target.network))
        if value
    }
    for known in before:
        told = known.to_dict()
        there = told.get("createPipelineJobRequest", {}).get("pipelineJob", {})
        same = all(there.get(key) == wanted.get(key) for key in _SAME)
        if same and told.get("cron") == due and told.get("state") == "ACTIVE":
            return f"the schedule {name} is there already: {when}"
    with client.answers(target, f"the schedule {name}"):
        made = aiplatform.PipelineJobSchedule(pipeline_job=job, display_name=name)
        made.create(
            cron=due,
            max_concurrent_run_count=1,
            service_account=target.service_account or None,
            network=target.network or None,
        )
        # Only now: had it been refused, the one before would have stayed.
        for known in before:
            known.delete()
    done = "replaced" if before else "made"
    return f"{done} the schedule {name} ({made.name}): {when}"


def listed(target: Vertex) -> list[RecurringRun]:
    """Return all schedules of pipelines by name.

    Raises:
        KitError: Vertex AI does not answer, or refuses.
    """
    found = [
        RecurringRun(
            one.name,
            one.display_name,
            When(cron=one.to_dict().get("cron", "")),
            one.to_dict().get("state") == "ACTIVE",
            "",
        )
        for one in _all(target)
    ]
    return sorted(found, key=lambda one: (one.name, one.id))


def named(target: Vertex, name: str) -> list[RecurringRun]:
    """Return the schedules of a name: Vertex AI lets several have it.

    Raises:
        BadInputError: There is none of that name.
        KitError: Vertex AI does not answer, or refuses.
    """
    return of_name(name, listed(target), f"there is no schedule {name} on {target.name}")


def delete(target: Vertex, which: Sequence[RecurringRun]) -> None:
    """Delete schedules; runs of theirs go on.

    Raises:
        KitError: Vertex AI does not answer, or refuses.
    """
    aiplatform = client.connect(target)
    with client.answers(target, "the schedule"):
        for one in which:
            aiplatform.PipelineJobSchedule.get(one.id).delete()


def _all(target: Vertex) -> list[Any]:
    aiplatform = client.connect(target)
    with client.answers(target, "the schedules"):
        return list(aiplatform.PipelineJobSchedule.list())
