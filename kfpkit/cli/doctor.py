"""Commands that find out what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kfpkit.cli.options import Canary, Json, Output, RunId, Where, installation
from kfpkit.cli.targets import choose
from kfpkit.core import console, process
from kfpkit.core.findings import Verdict
from kfpkit.doctor import bundle, checks
from kfpkit.doctor.check import examine
from kfpkit.runs import lookup
from kfpkit.runs.reasons import RUNBOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.doctor.check import Report
    from kfpkit.kfp.target import Target
    from kfpkit.runs.explain import Explanation

app = typer.Typer()


@app.command()
@installation()
def doctor(where: Where, canary: Canary = True, json: Json = False) -> None:
    """Check an installation from the outside in; exit code 1 at a fault."""
    reports = list(_examined(choose(where), canary=canary, show=not json))
    bad = [report.name for report in reports if report.verdict is Verdict.FAULT]
    if json:
        values = {"faults": bad, "checks": [report.as_json() for report in reports]}
        console.out.print(dumps(values, indent=2), markup=False)
    elif bad:
        console.out.print(f"faults: {', '.join(bad)}", style="bold red", markup=False)
    else:
        console.out.print("no faults", style="bold green")
    if bad:
        raise typer.Exit(1)


@app.command()
@installation()
def explain(run: RunId, where: Where, json: Json = False) -> None:
    """Say in a sentence why a run is stuck or has failed, and what helps."""
    found = lookup.look(choose(where, reads=True), run)
    if json:
        console.out.print(dumps(found.as_json(), indent=2), markup=False)
        return
    _show_explanation(found)


@app.command()
@installation()
def support_bundle(where: Where, output: Output = None) -> None:
    """Collect logs, events and objects into a file, without secrets."""
    target = choose(where)
    file = output or Path(f"kfp-support-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz")
    if process.dry_run():
        console.say(f"would collect what {target.namespace} of {target.context} holds in {file}")
        return
    if file.is_dir():
        file /= f"kfp-support-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz"
    for name in bundle.make(target, file, _examined(target, canary=False, show=False)):
        console.warn(f"{name} is too short to be looked for outside its Secret: read the bundle")
    console.out.print(f"{file} ({file.stat().st_size / 2**20:.1f} MiB)", markup=False)


def _examined(target: Target, *, canary: bool, show: bool) -> Iterator[Report]:
    chosen = [check for check in checks.CHECKS if canary or check.name != checks.CANARY]
    console.say(f"looking at the namespace {target.namespace} of {target.context}")
    for report in examine(target, chosen):
        if show:
            _show_report(report)
        else:
            console.say(f"{report.verdict:<8} {report.name}")
        yield report


def _show_report(report: Report) -> None:
    style = {"ok": "green", "warning": "yellow", "fault": "bold red", "skipped": "dim"}
    console.out.print(
        f"{report.verdict:<8} {report.name:<13} {report.title} ({report.seconds:.1f} s)",
        style=style[report.verdict],
        markup=False,
    )
    if report.runbook:
        console.out.print(f"{'':<9}read {RUNBOOKS}/{report.runbook}.md", markup=False)
    for finding in report.findings:
        mark = "" if finding.verdict in ("ok", "skipped") else f"{finding.verdict}: "
        console.out.print(f"{'':<9}{mark}{finding.evidence}", markup=False)
        if finding.command:
            console.out.print(f"{'':<11}$ {finding.command}", style="dim", markup=False)


def _show_explanation(found: Explanation) -> None:
    console.out.print(f"{found.run} ({found.state}): {found.sentence}", markup=False)
    for line in found.evidence:
        console.out.print(f"  {line}", markup=False)
    for command in found.commands:
        console.out.print(f"  $ {command}", style="dim", markup=False)
    if found.runbook:
        console.out.print(f"  read {found.runbook}", markup=False)
