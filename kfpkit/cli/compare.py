"""Comparing runs, of one backend or several; and running a pipeline on several to compare."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from contextlib import ExitStack, nullcontext, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kfpkit.cli import ending, linting
from kfpkit.cli.options import (
    KIND,
    LOCAL,
    Args,
    Bytes,
    Cache,
    Experiment,
    Host,
    Json,
    KindConfig,
    Lint,
    On,
    Output,
    PipelineName,
    Runs,
    Sides,
    Targets,
    Tolerance,
    Where,
    Words,
    installation,
    parameters,
)
from kfpkit.cli.targets import choose, find, vertex
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, KitError, refusals_of
from kfpkit.kfp import api, pipelines
from kfpkit.kfp.run import FILE, Run, State
from kfpkit.lint import rule
from kfpkit.runs import refusals
from kfpkit.runs.compare import comparison, shown
from kfpkit.runs.compare.sides import Side, read
from kfpkit.runs.local import run as local
from kfpkit.runs.lookup import ID
from kfpkit.runs.progress import Progress

if TYPE_CHECKING:
    from kfpkit.kfp.run import Task
    from kfpkit.runs.compare.comparison import Comparison

app = typer.Typer()

#: What to do where the page cannot be written.
_OTHER_FILE = "choose another file: OUTPUT=file"


@app.command()
@installation()
def compare(
    where: Where,
    sides: Sides = None,
    host: Host = "",
    runs: Runs = None,
    tolerance: Tolerance = 0.0,
    contents: Bytes = True,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Compare runs of one backend or several; exit code 1 at a difference.

    The first is the measure. Times, cache hits, IDs and URIs are never a difference.
    """
    runs = runs or Path("runs")
    words = sides or []
    if len(words) == 1:  # make hands on all as one
        words = parameters(None, words[0])
    places = [_place(word, where, runs) for word in words]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise BadInputError(f"the run {words[number]} is named twice", "Name another one")
    comparison.check(len(places), tolerance)
    file = output or runs / f"compare-{datetime.now().astimezone():%Y%m%d-%H%M%S}.html"
    if process.dry_run():
        console.say(f"would compare {', '.join(words)} and write {file}")
        return
    known = [read(place) if isinstance(place, Path) else place for place in places]
    with ExitStack() as stack:
        found = [
            one
            if isinstance(one, Side)
            else _bring(*one, host, Path(stack.enter_context(tempfile.TemporaryDirectory())))
            for one in known
        ]
        done = comparison.compare(found, tolerance=tolerance, contents=contents)
    _tell(done, file, as_json=as_json)
    if not done.agree:
        raise typer.Exit(1)


@app.command()
def agree(
    pipeline: PipelineName = "penguins",
    arguments: Words = None,
    args: Args = "",
    on: On = "local,kind",
    tolerance: Tolerance = 0.0,
    contents: Bytes = True,
    as_json: Json = False,
    experiment: Experiment = "",
    cache: Cache = False,
    runs: Runs = None,
    lint: Lint = True,
    kind_config: KindConfig = None,
    targets: Targets = None,
) -> None:
    """Run a pipeline on several targets and compare; exit code 1 as compare.

    It is compiled once, and each target gets the same file.
    """
    names = [name.strip() for name in on.split(",")]
    if "" in names or len(names) < 2:
        raise BadInputError(f"ON={on} names no two targets", "Write them as in ON=local,kind")
    comparison.check(len(names), tolerance)
    found = pipelines.find(pipeline)
    words = parameters(arguments, args)
    wheres = [Where(name, kind_config=kind_config, targets=targets) for name in names]
    kinds = {where.target: _kind(where) for where in wheres}
    on_cluster = {kind for kind, _ in kinds.values()} - {rule.LOCAL, rule.VERTEX}
    spec, _ = refusals.admit(found, words, {"experiment": experiment} if on_cluster else None)
    for kind, prefix in dict.fromkeys(kinds.values()) if lint else ():
        linting.admit(replace(found, image_prefix=prefix), kind)
    if LOCAL in names:
        local.needs_containers(spec)
    runs = runs or Path("runs")
    if process.dry_run():
        console.say(f"would compile {found.module}, run it on {', '.join(names)}, and compare")
        return
    with refusals_of(runs, ending.OTHER_FOLDER):
        folder = local.new_folder(runs, f"agree-{found.module}", datetime.now(UTC))
        file = folder / f"{found.module}.yaml"
        file.write_text(found.text(), encoding="utf-8")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    console.say(f"compiled: {file}, SHA-256 {digest}")
    run = import_module("kfpkit.cli.run").run
    sides = []
    for name in names:
        before = set(folder.iterdir())
        failure = None
        try:
            # JSON is all of standard output.
            with redirect_stdout(sys.stderr) if as_json else nullcontext():
                run(
                    pipeline=str(file),
                    arguments=words,
                    experiment=experiment,
                    cache=cache,
                    runs=folder,
                    lint=False,  # The file is; and its own places are in the .py.
                    target=name,
                    kind_config=kind_config,
                    targets=targets,
                )
        except KitError as error:
            failure = error
            console.err.print(f"error: on {name}: {error}", style="bold red", markup=False)
        made = [path for path in set(folder.iterdir()) - before if (path / FILE).is_file()]
        if not made:
            raise failure or KitError(f"the run on {name} left no {FILE}")
        sides.append(read(made[0]))
    done = comparison.compare(sides, tolerance=tolerance, contents=contents)
    done = replace(done, notes=[f"Each ran {file.name}, SHA-256 {digest}", *done.notes])
    _tell(done, folder / "compare.html", as_json=as_json)
    if not done.agree or any(side.run.state is not State.SUCCEEDED for side in sides):
        raise typer.Exit(1)


def _kind(where: Where) -> tuple[str, str]:
    """Return the name by which the linter knows a target, and its prefix of images.

    Raises:
        BadInputError: There is no such target.
    """
    if where.target == LOCAL:
        return rule.LOCAL, ""
    if on_vertex := vertex(where):
        return rule.VERTEX, on_vertex.image_prefix
    target = choose(where)
    return linting.linted(target), target.image_prefix


def _place(word: str, where: Where, runs: Path) -> Path | tuple[Where, str]:
    """Return the folder of a run that is here; else where it is, and its ID.

    Raises:
        BadInputError: It is neither.
    """
    for path in (Path(word), runs / word.removeprefix(f"{LOCAL}:")):
        if word and _is_there(path):
            return path.resolve().parent if path.name == FILE else path.resolve()
    target, _, run = word.rpartition(":")
    if target and run and target != LOCAL:
        return replace(where, target=target, overlay="", context=""), run
    if ID.fullmatch(word) or (word and not target and where.target != KIND):
        return where, word
    raise BadInputError(
        f"there is no run {word or repr(word)}",
        f"Name a folder of {runs}, an ID as TARGET:ID, or an ID alone with TARGET=",
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long for one
        return False


class _Silent(Progress):
    """Takes note of changes and says nothing: the run is looked at once."""

    def changed(self, task: Task) -> None:
        """Say nothing."""


def _bring(where: Where, run_id: str, host: str, folder: Path) -> Side:
    """Return a run of a target as it is now, its artifacts brought into a folder.

    Raises:
        BadInputError: There is no such run.
        KitError: The target does not answer.
    """
    if on_vertex := vertex(where, host):
        jobs = import_module("kfpkit.vertex.jobs")
        console.say(f"reading run {run_id} of {on_vertex.name}")
        spec, given = jobs.existing(on_vertex, run_id)
        done = jobs.run(on_vertex, run_id, spec, given, folder, _Silent(), wait=False)
    else:
        remote = import_module("kfpkit.runs.remote")
        with find(where, host) as place:
            console.say(f"reading run {run_id} of {place.name}")
            try:
                spec, given = remote.existing(place, run_id)
            except api.RefusedError as error:
                if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
                    raise
                raise BadInputError(
                    f"there is no run {run_id} on {place.name}", "kfp run list shows the IDs"
                ) from None
            done = remote.run(place, run_id, spec, given, folder, _Silent(), wait=False)
    # As out of a file, which has NaN as a text.
    return Side(Run.from_json(done.to_json()), folder)


def _tell(done: Comparison, file: Path, *, as_json: bool) -> None:
    """Write the page; print the comparison and where the page is."""
    page = import_module("kfpkit.runs.compare.page")
    with refusals_of(file, _OTHER_FILE):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page.render(done), encoding="utf-8")
    if as_json:
        console.out.print(json.dumps(shown.as_json(done), indent=2), markup=False)
        console.say(f"page: {file}")
        return
    console.out.print(shown.table(done), soft_wrap=False)
    console.out.print(f"page: {file}", markup=False)
