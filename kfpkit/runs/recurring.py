"""Recurring runs: making them, listing them, deleting them."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, join_names
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import api
from kfpkit.kfp.states import FINAL
from kfpkit.runs import remote
from kfpkit.runs.schedule import When

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kfpkit.kfp.pipelines import Pipeline
    from kfpkit.kfp.run import Parameter

#: Runs of an experiment, the newest, among which those under way are looked for.
PAGE = 100

#: Seconds that runs may take to end once they are told to.
ENDING = 300.0


@dataclass(frozen=True)
class RecurringRun:
    """A recurring run on a server.

    Attributes:
        id: The server's ID of it.
        name: Its display name.
        when: When it is due.
        enabled: Whether it makes runs.
        experiment: ID of the experiment that takes the runs.
    """

    id: str
    name: str
    when: When
    enabled: bool
    experiment: str


def put(
    host: str,
    pipeline: Pipeline,
    parameters: Sequence[Parameter],
    when: When,
    *,
    name: str,
    experiment: str,
    cache: bool,
    pipeline_root: str = "",
) -> str:
    """Make a recurring run, or replace those of its name; nothing where it is there already.

    Args:
        host: Address of the KFP API.
        pipeline: The pipeline; it is uploaded if it is new, and the recurring run stays with the
            version that it was made with.
        parameters: All parameters of its runs.
        when: When it is due. A run is not started while the one before it goes on, and of those
            that were missed, only the last is made up for.
        name: Its display name.
        experiment: Name of the experiment, which is made if it is not there.
        cache: Whether tasks may take their outputs from earlier runs.
        pipeline_root: Where its runs keep their artifacts; empty for what the installation says.

    Returns:
        What was done, for a person; empty in a dry run.

    Raises:
        KitError: The API does not answer, or refuses.
    """
    values = {p.name: p.value for p in parameters if p.differs}
    with tempfile.TemporaryDirectory() as folder:
        source = remote.source(host, pipeline, Path(folder), cache=cache)
        if process.dry_run():
            console.say(f"would make the recurring run {name} in {experiment}: {when}")
            return ""
        client = api.connect(host)
        place = client.create_experiment(experiment).experiment_id
        before = [known for known in client.all_recurring_runs() if known.display_name == name]
        for known in before:
            if _is_same(known, place, when, (values, pipeline_root), source):
                return f"the recurring run {name} is there already: {when}"
        made = client.create_recurring_run(
            experiment_id=place,
            job_name=name,
            description=pipeline.doc,
            cron_expression=when.cron or None,
            interval_second=when.seconds or None,
            max_concurrency=1,
            no_catchup=True,
            params=values,
            pipeline_root=pipeline_root,
            **source,
        )
        # Only now: had it been refused, the one before would have stayed.
        for known in before:
            _remove(client, known.recurring_run_id, known.experiment_id)
    done = "replaced" if before else "made"
    return f"{done} the recurring run {name} ({made.recurring_run_id}): {when}"


def listed(host: str) -> list[RecurringRun]:
    """Return all recurring runs by name.

    Raises:
        KitError: The API does not answer, or refuses.
    """
    client = api.connect(host)
    recurring = [
        RecurringRun(
            one.recurring_run_id,
            one.display_name,
            _when(one),
            one.status == "ENABLED",
            one.experiment_id,
        )
        for one in client.all_recurring_runs()
    ]
    return sorted(recurring, key=lambda one: (one.name, one.id))


def named(host: str, name: str) -> list[RecurringRun]:
    """Return the recurring runs of a name: KFP lets several have it.

    Raises:
        BadInputError: There is none of that name.
        KitError: The API does not answer, or refuses.
    """
    return of_name(name, listed(host), f"there is no recurring run {name} at {host}")


def of_name(name: str, everything: Sequence[RecurringRun], otherwise: str) -> list[RecurringRun]:
    """Return those of a name.

    Raises:
        BadInputError: There is none; `otherwise` says so.
    """
    those = [one for one in everything if one.name == name]
    if not those:
        names = join_names(list({one.name for one in everything}))
        raise BadInputError(otherwise, f"There: {names}")
    return those


def delete(host: str, which: Sequence[RecurringRun]) -> None:
    """Delete recurring runs; runs of theirs that are under way are ended, and all of them stay.

    Raises:
        KitError: The API does not answer, or refuses.
    """
    client = api.connect(host)
    for one in which:
        _remove(client, one.id, one.experiment)


def _remove(client: api.Client, recurring_run: str, experiment: str) -> None:
    """Delete a recurring run once none of its runs is under way.

    With it Kubernetes removes the Workflows that it made. KFP would never hear of the end of one
    that was under way, and take it for running for ever.
    """
    client.disable_recurring_run(recurring_run)

    def under_way() -> list[str]:
        page = client.list_runs(experiment_id=experiment, page_size=PAGE, sort_by="created_at desc")
        return [
            run["run_id"]
            for run in page.runs
            # One that is being ended too: until its Workflow has ended, KFP has not heard of it.
            if run.get("recurring_run_id") == recurring_run and run.get("state") not in FINAL
        ]

    ended = set()
    for run in under_way():
        # Refused where its Workflow is gone already: there is nothing left to wait for.
        with contextlib.suppress(api.RefusedError):
            client.terminate_run(run)
            ended.add(run)

    def probe() -> str | None:
        left = ended.intersection(under_way())
        return f"{len(left)} under way" if left else None

    wait_for("the runs of the recurring run to end", probe, timeout=ENDING)
    client.delete_recurring_run(recurring_run)


def _when(known: Any) -> When:
    trigger = known.trigger
    if trigger and trigger.cron_schedule:
        return When(cron=trigger.cron_schedule.cron or "")
    seconds = trigger.periodic_schedule.interval_second if trigger else 0
    return When(seconds=int(seconds or 0))


def _is_same(
    known: Any,
    experiment: str,
    when: When,
    given: tuple[dict[str, Any], str],
    source: dict[str, Any],
) -> bool:
    """Whether a recurring run would do what another, still to be made, would."""
    if known.status != "ENABLED" or known.experiment_id != experiment or _when(known) != when:
        return False
    config = known.runtime_config
    if ((config and config.parameters) or {}, (config and config.pipeline_root) or "") != given:
        return False
    if "version_id" in source:
        version = known.pipeline_version_reference
        return bool(version) and version.pipeline_version_id == source["version_id"]
    file = Path(source["pipeline_package_path"])
    return not known.pipeline_version_reference and api.documents(
        known.pipeline_spec or {}
    ) == api.read(file)
