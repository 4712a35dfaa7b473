"""Saying what of a pipeline would not run on a target."""

from __future__ import annotations

from dataclasses import replace
from json import dumps
from typing import TYPE_CHECKING

import typer

from kfpkit import lint as engine
from kfpkit.cli.linting import linted, machines
from kfpkit.cli.options import Format, PipelineNames, Where, installation
from kfpkit.cli.targets import choose, vertex
from kfpkit.core import console
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.kfp import pipelines
from kfpkit.kfp.compiled_file import SUFFIXES
from kfpkit.lint import rule, sarif
from kfpkit.lint.finding import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

app = typer.Typer()

FORMATS = ("text", "json", "sarif")

#: Exit code where the input is wrong; 1 says that there are errors in a pipeline.
BAD_INPUT = 2


@app.command()
@installation(default=rule.KFP_2_17_0)
def lint(where: Where, pipeline: PipelineNames, format: Format = "text") -> None:  # noqa: A002
    """Say what of a pipeline would not run on a target, where and why.

    TARGET is kfp@2.14.3, kfp@2.17.0, vertex or local; or an installation, for its release.
    Exit code 0: no errors; 1: errors; 2: wrong input.
    """
    try:
        if format not in FORMATS:
            raise BadInputError(f"there is no format {format!r}", f"Formats: {', '.join(FORMATS)}")
        target, nodes, prefix = _target(where)
        findings = [one for text in pipeline for one in _check(text, target, nodes, prefix)]
    except KitError as error:
        console.err.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(BAD_INPUT) from None
    if format == "sarif":
        console.out.print(dumps(sarif.log(findings), indent=2), markup=False)
    elif format == "json":
        values = {"target": target, "findings": [one.as_json() for one in findings]}
        console.out.print(dumps(values, indent=2), markup=False)
    else:
        _show(findings, target)
    if any(one.severity is Severity.ERROR for one in findings):
        raise typer.Exit(1)


def _target(where: Where) -> tuple[str, list[dict[str, str]], str]:
    """Return the target's name, what its nodes have where it is an installation, its prefix."""
    if where.target in rule.TARGETS:
        return where.target, [], ""
    if found := vertex(where):
        return rule.VERTEX, [], found.image_prefix
    installed = choose(where)
    return linted(installed), machines(installed), installed.image_prefix


def _check(text: str, target: str, nodes: list[dict[str, str]], prefix: str) -> Iterator[Finding]:
    """Yield what is found in what an argument names."""
    file = pipelines.path(text)
    if file.suffix in SUFFIXES:
        if not file.is_file():
            raise BadInputError(f"there is no file {file}", "Name another")
        yield from engine.check(file, target, nodes, prefix)
        return
    try:
        found = pipelines.find_all(text)
    except BadInputError:
        raise
    except KitError as error:  # a Python file that is broken: so is what a linter is for
        yield Finding("unreadable", Severity.ERROR, error.what, error.do, _python(file))
        return
    if not found:  # as a helper beside pipelines, which a pre-commit hook names like them
        yield Finding(
            "no-pipeline",
            Severity.WARNING,
            "it has no pipeline",
            "Decorate a function of it with @dsl.pipeline, or do not name it",
            _python(file),
        )
    for one in found:
        yield from engine.check(replace(one, image_prefix=prefix), target, nodes)


def _python(file: Path) -> Path | None:
    path = pipelines.path(str(file).partition(".py:")[0] + ".py") if ".py:" in str(file) else file
    return path if path.is_file() else None


def _show(findings: list[Finding], target: str) -> None:
    style = {Severity.ERROR: "bold red", Severity.WARNING: "yellow"}
    for one in findings:
        console.out.print(str(one), style=style[one.severity], markup=False)
    errors = sum(one.severity is Severity.ERROR for one in findings)
    warnings = len(findings) - errors
    said = f"{errors} errors, {warnings} warnings" if findings else "nothing found"
    console.say(f"{target}: {said}")
