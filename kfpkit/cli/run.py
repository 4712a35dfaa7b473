"""Running a pipeline."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kfpkit.cli.install import Context  # noqa: TC001 - typer reads annotations at run time

if TYPE_CHECKING:
    from kfpkit.kfp.run import Parameter, Run
    from kfpkit.kfp.spec import Spec
    from kfpkit.runs.place import Place

#: How many lines of a failed task's error the terminal shows; the report has more.
SHOWN_LINES = 6

#: How many failed tasks or rounds are shown so.
SHOWN_TASKS = 5

#: How many metrics the terminal shows.
SHOWN_METRICS = 100

#: What to do where a run's folder cannot be written.
OTHER_FOLDER = "choose another folder: RUNS=folder"


def _or_from_make(given: list[str] | None) -> list[str]:
    """Return the given parameters, or else those that make got as ARGS.

    Raises:
        BadInputError: ARGS has a quote without its second.
    """
    import shlex

    from kfpkit.core.errors import BadInputError

    try:
        return given or shlex.split(os.environ.get("ARGS", ""))
    except ValueError as error:
        raise BadInputError(
            f"ARGS cannot be split into name=value: {str(error).lower()}",
            "Quotes and backslashes mean what they mean to a shell, as in "
            """ARGS="'name=it is' 'items=[\\"a\\"]'\"""",
        ) from None


PipelineName = Annotated[
    str, typer.Argument(help="Module of pipelines/; MODULE:NAME where it has several pipelines.")
]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME=VALUE]...",
        help="The run's parameters; without any, those in ARGS, quoted as for a shell.",
        callback=_or_from_make,
    ),
]
Where = Annotated[
    str,
    typer.Option(
        "--target",
        envvar="TARGET",
        help="Where: local, kind, or the overlay of manifests/overlays of another cluster.",
    ),
]
Host = Annotated[
    str,
    typer.Option(
        envvar="KFP_HOST", help="Address of the KFP API; default http://localhost:8888 for kind."
    ),
]
Cache = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache", envvar="CACHE", help="Whether tasks may take outputs of earlier runs."
    ),
]
Experiment = Annotated[
    str, typer.Option(envvar="EXPERIMENT", help="Takes the run; default named as the pipeline.")
]
Runs = Annotated[
    Path | None,
    typer.Option(envvar="RUNS", help="Folder that takes a folder a run; default runs/."),
]


def register(app: typer.Typer) -> None:
    """Add `kfpkit run` and `kfpkit report`."""
    app.command("run")(run)
    app.command("report")(report)


def run(
    pipeline: PipelineName,
    arguments: Arguments = None,
    target: Where = "local",
    context: Context = "",
    host: Host = "",
    experiment: Experiment = "",
    cache: Cache = True,
    runs: Runs = None,
) -> None:
    """Run a pipeline, show its progress and metrics, and write a report."""
    from kfpkit.core.versions import ROOT

    runs = runs or ROOT / "runs"
    if target == "local":
        _run_here(pipeline, arguments or [], runs)
    else:
        on_cluster(
            pipeline,
            arguments or [],
            target,
            runs,
            context=context,
            host=host,
            experiment=experiment,
            cache=cache,
        )


def _run_here(pipeline: str, arguments: list[str], runs: Path) -> None:
    """Run a pipeline on this machine."""
    from datetime import UTC, datetime

    from kfpkit.core import console, process
    from kfpkit.core.errors import refusals_of
    from kfpkit.kfp import pipelines
    from kfpkit.runs import refusals
    from kfpkit.runs.local import run as local
    from kfpkit.runs.progress import Progress

    found = pipelines.find(pipeline)
    spec, given = refusals.admit(found, arguments)
    in_containers = local.needs_containers(spec)
    how = "in containers" if in_containers else "in processes"
    if found.kubernetes:
        settings = "; ".join(
            f"{name}: {', '.join(fields)}" for name, fields in found.kubernetes.items()
        )
        console.warn(f"settings for Kubernetes have no effect on this machine ({settings})")
    values = values_of(given)
    if process.dry_run():
        console.say(f"would run {pipeline} on this machine {how}: {values}")
        return
    with refusals_of(runs, OTHER_FOLDER):
        folder = local.new_folder(runs, found.module, datetime.now(UTC))
    console.say(f"running {pipeline} on this machine {how}: {values}")
    with refusals_of(folder, OTHER_FOLDER):
        try:
            with Progress() as progress:
                done = local.run(spec, given, folder, progress, in_containers=in_containers)
        except local.InterruptedRun as interrupted:
            _report(interrupted.run, folder)
            raise
        _report(done, folder)
    _fail(done)


def values_of(given: list[Parameter]) -> str:
    """Return the parameters of a run as they are given: all but texts as JSON."""
    import json

    def text(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    return " ".join(f"{p.name}={text(p.value)}" for p in given if p.value is not None) or (
        "no parameters"
    )


def on_cluster(
    pipeline: str,
    arguments: list[str],
    target: str,
    runs: Path,
    *,
    context: str = "",
    host: str = "",
    experiment: str = "",
    cache: bool = True,
) -> None:
    """Run a pipeline on a cluster; the arguments are those of `kfpkit run`.

    Raises:
        KitError: Bad input, no answer, or the run failed.
    """
    from datetime import UTC, datetime
    from tempfile import TemporaryFile

    from kfpkit.core import console, process
    from kfpkit.core.errors import refusals_of
    from kfpkit.kfp import pipelines
    from kfpkit.runs import refusals

    found = pipelines.find(pipeline)
    spec, given = refusals.admit(found, arguments, {"experiment": experiment})

    # Not before: a refusal does without what is imported here.
    from kfpkit.kube.health import WORKFLOWS
    from kfpkit.runs import place, remote

    values = values_of(given)
    if not process.dry_run():
        with refusals_of(runs, OTHER_FOLDER):  # before the run is there
            runs.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=runs).close()
    with place.find(target, context, host) as where:
        remote.load_image(where, spec)
        now = datetime.now(UTC)
        run_id = remote.submit(
            where,
            found,
            given,
            name=f"{found.module}-{now.astimezone():%Y%m%d-%H%M%S}",
            experiment=experiment or found.name,
            cache=cache,
        )
        if process.dry_run():
            console.say(f"    with {values}")
            argv = where.target.argv("get", WORKFLOWS, where.selector("RUN_ID"))
            console.say(f"would follow it to its end: {process.line(argv)}")
            return
        console.say(f"running {pipeline} on {where.target.context}: {values}")
        done = _follow(where, run_id, spec, given, runs, found.module)
    _fail(done)


def report(
    run_id: Annotated[str, typer.Argument(envvar="RUN", help="ID of the run.")] = "",
    target: Annotated[
        str,
        typer.Option(
            envvar="TARGET", help="Where it is: kind, or an overlay of manifests/overlays."
        ),
    ] = "kind",
    context: Context = "",
    host: Host = "",
    runs: Runs = None,
) -> None:
    """Follow a run that is on a cluster to its end, whoever started it, and write its report."""
    from kfpkit.core import console, process
    from kfpkit.core.errors import BadInputError
    from kfpkit.core.versions import ROOT
    from kfpkit.runs import place, remote

    if not run_id:
        raise BadInputError("no run is named", "Add RUN=id; kfp run list shows the IDs")
    with place.find(target, context, host) as where:
        if process.dry_run():
            console.say(f"would follow the run {run_id} of {where.host} and write its report")
            return
        spec, given = remote.existing(where, run_id)
        name = spec["pipelineInfo"]["name"]
        done = _follow(where, run_id, spec, given, runs or ROOT / "runs", name)
    _fail(done)


def _follow(
    where: Place, run_id: str, spec: Spec, given: list[Parameter], runs: Path, name: str
) -> Run:
    """Follow a run to its end and write its report; where interrupted, say how it goes on."""
    from datetime import UTC, datetime

    from kfpkit.core import console
    from kfpkit.core.errors import KitError, refusals_of
    from kfpkit.runs import remote
    from kfpkit.runs.local import run as local
    from kfpkit.runs.progress import Progress

    link = where.link(run_id)
    console.say(f"run {run_id}" + (f": {link}" if link else ""))
    try:
        with refusals_of(runs, OTHER_FOLDER):
            folder = local.new_folder(runs, name, datetime.now(UTC))
        with refusals_of(folder, OTHER_FOLDER), Progress() as progress:
            done = remote.run(where, run_id, spec, given, folder, progress)
    except (local.InterruptedRun, KitError) as error:
        if isinstance(error, local.InterruptedRun):
            _report(error.run, folder)
        console.say("the run goes on on the cluster" + (f": {link}" if link else ""))
        for what, command in where.by_hand(run_id).items():
            console.say(f"    {what}: {command}")
        raise
    with refusals_of(folder, OTHER_FOLDER):
        _report(done, folder)
    return done


def _report(done: Run, folder: Path) -> None:
    """Write a run's description and report; print its metrics and where the report is."""
    from kfpkit.core import console
    from kfpkit.runs.report.page import write

    done.save(folder)
    page = write(done, folder)
    _tell(done)
    console.out.print(f"report: {_shown(page)}", markup=False)


def _tell(done: Run) -> None:
    """Print the metrics as a table, every value whole."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from kfpkit.core import console
    from kfpkit.runs import shown
    from kfpkit.runs.report import page as report

    found = report.metrics(done)
    if not found:
        return
    table = Table("task", "metric", box=None, pad_edge=False, title_justify="left")
    table.add_column("value", justify="right")
    for metric in found[:SHOWN_METRICS]:
        cells = (metric.task, metric.name, shown.number(metric.value))
        table.add_row(*(Text(shown.plain(cell)) for cell in cells))
    console.out.print()
    # A table no wider than the terminal would cut values.
    Console(width=10_000, highlight=False).print(table)
    if len(found) > SHOWN_METRICS:
        console.out.print(f"and {len(found) - SHOWN_METRICS} more, in the report")
    console.out.print()


def _fail(done: Run) -> None:
    """Raise where the run failed, with each failed task or round and the end of its output.

    Raises:
        KitError: It failed.
    """
    from kfpkit.core import durations
    from kfpkit.core.errors import KitError
    from kfpkit.kfp.run import State
    from kfpkit.runs import shown

    if done.state is State.SUCCEEDED:
        from kfpkit.core import console

        console.say(f"{done.pipeline} succeeded in {durations.write(done.seconds)}")
        return
    ended = "was cancelled" if done.state is State.CANCELLED else "failed"
    if not done.failed:
        raise KitError(f"the run {ended}: {shown.plain(done.error) or 'nothing says why'}")
    # What the run says beside its tasks, for example that two sources disagree.
    also = f"{shown.plain(done.error)}\n" if done.error else ""
    blocks = {
        shown.plain(task.name): "\n".join(
            f"    {line}" for line in shown.plain(task.error).splitlines()[-SHOWN_LINES:]
        )
        or "    (it printed nothing)"
        for task in done.failed[:SHOWN_TASKS]
    }
    if len(done.failed) == 1:
        ((name, block),) = blocks.items()
        raise KitError(f"task {name} failed:\n{block}\n{also}The report has more")
    several = "\n".join(f"  {name}:\n{block}" for name, block in blocks.items())
    more = len(done.failed) - SHOWN_TASKS
    raise KitError(
        f"{len(done.failed)} tasks failed:\n{several}\n"
        + (f"  and {more} more\n" if more > 0 else "")
        + f"{also}The report has more"
    )


def _shown(path: Path) -> str:
    """Return the path as short as it leads there from the current folder."""
    from pathlib import Path

    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
