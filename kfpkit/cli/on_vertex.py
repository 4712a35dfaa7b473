"""What commands do on a Vertex target: a run, its report, its end, recurring runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from kfpkit.cli import ending, following, linting
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.lint import rule
from kfpkit.vertex import jobs, schedules

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kfp.pipelines import Pipeline
    from kfpkit.kfp.run import Parameter, Run
    from kfpkit.kfp.spec import Spec
    from kfpkit.kfp.targets_file import Vertex
    from kfpkit.runs.schedule import When


def run(
    target: Vertex,
    found: Pipeline,
    spec: Spec,
    given: list[Parameter],
    runs: Path,
    *,
    experiment: str,
    cache: bool,
    lint: bool,
) -> None:
    """Run a pipeline that was admitted; the rest is as for `kfpkit run`.

    Raises:
        KitError: Bad input, no answer, or the run failed.
    """
    found = _admitted(target, found, lint=lint)
    values = ending.values_of(given)
    where = f"Vertex AI, {target.project} in {target.location}"
    if process.dry_run():
        console.say(f"would run {found.module} on {where}, and follow it to its end: {values}")
        return
    following.require_room(runs)
    name = f"{found.module}-{datetime.now():%Y%m%d-%H%M%S}"  # noqa: DTZ005 - for people here
    job = jobs.prepare(target, found, given, name=name, cache=cache)
    experiment = experiment or target.experiment
    run_id = jobs.submit(target, job, experiment)
    console.say(f"running {found.module} on {where}: {values}")
    ending.fail(_follow(target, run_id, spec, given, runs, found.module, experiment=experiment))


def report(target: Vertex, run_id: str, runs: Path) -> None:
    """Follow a run to its end, and write its report.

    Raises:
        KitError: There is no such run, no answer, or the run failed.
    """
    if process.dry_run():
        console.say(f"would follow the run {run_id} of {target.name} and write its report")
        return
    spec, given = jobs.existing(target, run_id)
    ending.fail(_follow(target, run_id, spec, given, runs, spec["pipelineInfo"]["name"]))


def cancel(target: Vertex, run_id: str) -> None:
    """End a run.

    Raises:
        KitError: There is no such run, it is over, or no answer.
    """
    if process.dry_run():
        console.say(f"would end the run {run_id} of {target.name}")
        return
    jobs.cancel(target, run_id)
    short = run_id.rpartition("/")[2]
    console.say(f"the run {short} is being ended: {jobs.link(target, short)}")


def put(
    target: Vertex,
    found: Pipeline,
    given: list[Parameter],
    when: When,
    name: str,
    *,
    experiment: str,
    cache: bool,
    lint: bool,
) -> None:
    """Make a schedule of a pipeline that was admitted, or replace those of its name.

    Raises:
        KitError: Bad input, or no answer.
    """
    if experiment:
        raise BadInputError(
            f"EXPERIMENT={experiment}: Vertex AI's schedules put their runs into no experiment",
            "Leave it out",
        )
    if target.experiment:
        console.warn(
            f"runs of a schedule are not in the experiment {target.experiment} of "
            f"[{target.name}]: Vertex AI's schedules know none"
        )
    found = _admitted(target, found, lint=lint)
    schedules.cron(when)
    if process.dry_run():
        console.say(f"would make the schedule {name} on {target.name}: {when}")
        return
    job = jobs.prepare(target, found, given, name=name, cache=cache)
    console.say(schedules.put(target, job, when, name))


def _admitted(target: Vertex, found: Pipeline, *, lint: bool) -> Pipeline:
    """Return a pipeline with the target's prefix of images, unless it would not run there."""
    jobs.require_one_document(found)
    found = replace(found, image_prefix=target.image_prefix)
    if lint:
        linting.admit(found, rule.VERTEX)
    return found


def _follow(
    target: Vertex,
    run_id: str,
    spec: Spec,
    given: list[Parameter],
    runs: Path,
    name: str,
    *,
    experiment: str = "",
) -> Run:
    short = run_id.rpartition("/")[2]
    return following.follow(
        lambda folder, progress: jobs.run(
            target, run_id, spec, given, folder, progress, experiment=experiment
        ),
        runs,
        name,
        run_id=short,
        link=jobs.link(target, short),
        place="Vertex AI",
        by_hand=jobs.by_hand(target, short),
    )
