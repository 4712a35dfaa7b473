"""Commands that find out what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kfpkit.cli.install import Context, Overlay  # noqa: TC001 - read at run time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.core.check import Report
    from kfpkit.kfp.target import Target
    from kfpkit.runs.explain import Explanation

Json = Annotated[bool, typer.Option("--json", envvar="JSON", help="Print JSON on standard output.")]


def register(app: typer.Typer) -> None:
    """Add `kfpkit doctor`, `explain` and `support-bundle`."""
    app.command("doctor")(doctor)
    app.command("explain")(explain)
    app.command("support-bundle")(support_bundle)


def doctor(
    overlay: Overlay = "",
    context: Context = "",
    canary: Annotated[
        bool, typer.Option(envvar="CANARY", help="Also run a small pipeline, twice.")
    ] = True,
    json: Json = False,
) -> None:
    """Check an installation from the outside in; exit code 1 if something does not work."""
    from json import dumps

    from kfpkit.core import console
    from kfpkit.core.check import Verdict
    from kfpkit.kfp.target import choose

    reports = list(_examined(choose(overlay, context), canary=canary, show=not json))
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


def explain(
    run: Annotated[str, typer.Argument(envvar="RUN", help="The run's ID.")],
    overlay: Overlay = "",
    context: Context = "",
    json: Json = False,
) -> None:
    """Say in a sentence why a run is stuck or has failed, with the command that helps."""
    from json import dumps

    from kfpkit.core import console
    from kfpkit.kfp.target import choose
    from kfpkit.runs import lookup as runs

    found = runs.look(choose(overlay, context), run)
    if json:
        console.out.print(dumps(found.as_json(), indent=2), markup=False)
        return
    _show_explanation(found)


def support_bundle(
    overlay: Overlay = "",
    context: Context = "",
    to: Annotated[
        Path | None, typer.Option(envvar="TO", help="The file; default kfp-support-TIME.tar.gz.")
    ] = None,
) -> None:
    """Collect logs, events, objects and versions into a file, every secret redacted."""
    from datetime import UTC, datetime

    from kfpkit.core import console, process
    from kfpkit.doctor import bundle
    from kfpkit.kfp.target import choose

    target = choose(overlay, context)
    file = to or Path(f"kfp-support-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz")
    if process.dry_run():
        console.say(f"would collect what {target.namespace} of {target.context} holds in {file}")
        return
    if file.is_dir():
        file /= f"kfp-support-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz"
    for name in bundle.make(target, file, _examined(target, canary=False, show=False)):
        console.warn(f"{name} is too short to be looked for outside its Secret: read the bundle")
    console.out.print(f"{file} ({file.stat().st_size / 2**20:.1f} MiB)", markup=False)


def _examined(target: Target, *, canary: bool, show: bool) -> Iterator[Report]:
    from kfpkit.core import console
    from kfpkit.core.check import examine
    from kfpkit.doctor import checks

    chosen = [check for check in checks.CHECKS if canary or check.name != checks.CANARY]
    console.say(f"looking at the namespace {target.namespace} of {target.context}")
    for report in examine(target, chosen):
        if show:
            _show_report(report)
        else:
            console.say(f"{report.verdict:<8} {report.name}")
        yield report


def _show_report(report: Report) -> None:
    from kfpkit.core import console
    from kfpkit.runs.reasons import RUNBOOKS

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
    from kfpkit.core import console

    console.out.print(f"{found.run} ({found.state}): {found.sentence}", markup=False)
    for line in found.evidence:
        console.out.print(f"  {line}", markup=False)
    for command in found.commands:
        console.out.print(f"  $ {command}", style="dim", markup=False)
    if found.runbook:
        console.out.print(f"  read {found.runbook}", markup=False)
