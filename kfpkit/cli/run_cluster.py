"""Running a pipeline on a cluster, and following a run that is there."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kfpkit.cli import ending, following, linting
from kfpkit.cli.options import Host, RunId, Runs, Where, installation
from kfpkit.cli.targets import find, vertex
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import pipelines
from kfpkit.kube.health import WORKFLOWS
from kfpkit.runs import remote

if TYPE_CHECKING:
    from kfpkit.kfp.pipelines import Pipeline
    from kfpkit.kfp.run import Parameter, Run
    from kfpkit.kfp.spec import Spec
    from kfpkit.runs.place import Place

app = typer.Typer()


@app.command()
@installation()
def report(where: Where, run: RunId = "", host: Host = "", runs: Runs = None) -> None:
    """Follow a run to its end, and write its report.

    Whoever started it.
    """
    if not run:
        raise BadInputError("no run is named", "Add RUN=id; kfp run list shows the IDs")
    if on_vertex := vertex(where, host):
        import_module("kfpkit.cli.on_vertex").report(on_vertex, run, runs or Path("runs"))
        return
    with find(where, host) as place:
        if process.dry_run():
            console.say(f"would follow the run {run} of {place.host} and write its report")
            return
        spec, given = remote.existing(place, run)
        name = pipelines.label(spec["pipelineInfo"]["name"])
        done = _follow(place, run, spec, given, runs or Path("runs"), name)
    ending.fail(done)


def run(
    found: Pipeline,
    spec: Spec,
    given: list[Parameter],
    runs: Path,
    where: Where,
    *,
    host: str,
    experiment: str,
    cache: bool,
    lint: bool,
) -> None:
    """Run a pipeline that was admitted; the rest is as for `kfpkit run`.

    Raises:
        KitError: Bad input, no answer, or the run failed.
    """
    values = ending.values_of(given)
    if not process.dry_run():
        following.require_room(runs)
    with find(where, host) as place:
        if lint:
            linting.admit_on(found, place.target)
        remote.prepare(place, found)
        now = datetime.now(UTC)
        run_id = remote.submit(
            place,
            found,
            given,
            name=f"{found.module}-{now.astimezone():%Y%m%d-%H%M%S}",
            experiment=experiment or found.name,
            cache=cache,
        )
        if process.dry_run():
            console.say(f"    with {values}")
            argv = place.target.argv("get", WORKFLOWS, place.selector("RUN_ID"))
            console.say(f"would follow it to its end: {process.line(argv)}")
            return
        console.say(f"running {found.module} on {place.target.context}: {values}")
        done = _follow(place, run_id, spec, given, runs, found.module)
    ending.fail(done)


def _follow(
    place: Place, run_id: str, spec: Spec, given: list[Parameter], runs: Path, name: str
) -> Run:
    return following.follow(
        lambda folder, progress: remote.run(place, run_id, spec, given, folder, progress),
        runs,
        name,
        run_id=run_id,
        link=place.link(run_id),
        place="the cluster",
        by_hand=place.by_hand(run_id),
    )
