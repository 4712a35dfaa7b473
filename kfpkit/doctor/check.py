"""A check of an installation, and how a list of checks is gone through from the outside in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kfpkit.core.errors import CommandError, KitError
from kfpkit.core.findings import Finding, Verdict, fault, skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kfpkit.kfp.target import Target


@dataclass(frozen=True)
class Check:
    """A question to an installation."""

    name: str
    #: What is looked at, for a person.
    title: str
    #: Yields what it sees; a `KitError` that it raises is a fault.
    ask: Callable[[Target], Iterator[Finding]]
    #: Checks that must not have ended in a fault for this one to say anything.
    needs: tuple[str, ...] = ()
    #: The runbook about its faults.
    runbook: str = ""


@dataclass(frozen=True)
class Report:
    """What a check came to."""

    name: str
    title: str
    #: The runbook to read; empty where nothing is wrong.
    runbook: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "check": self.name,
            "title": self.title,
            "runbook": self.runbook,
            "verdict": str(self.verdict),
            "seconds": round(self.seconds, 1),
            "findings": [
                {"verdict": str(f.verdict), "evidence": f.evidence, "command": f.command}
                for f in self.findings
            ],
        }


def examine(target: Target, checks: Iterable[Check]) -> Iterator[Report]:
    """Go through the checks in order; one that a fault stands before is skipped, and says so."""
    broken: dict[str, str] = {}
    for check in checks:
        began = time.monotonic()
        cause = next((broken[name] for name in check.needs if name in broken), "")
        first = skipped(f"not looked at: the fault in {cause} comes first")
        findings = (first,) if cause else tuple(_findings(target, check))
        order = list(Verdict)
        verdict = max((f.verdict for f in findings), key=order.index, default=Verdict.OK)
        if cause or verdict is Verdict.FAULT:
            broken[check.name] = cause or check.name
        runbook = check.runbook if verdict in (Verdict.WARNING, Verdict.FAULT) else ""
        seconds = time.monotonic() - began
        yield Report(check.name, check.title, runbook, verdict, findings, seconds)


def _findings(target: Target, check: Check) -> Iterator[Finding]:
    try:
        yield from check.ask(target)
    except CommandError as error:
        said = error.stderr.strip().splitlines()[-1:] or ["no output"]
        yield fault(f"exit code {error.returncode}: {said[0]}", error.line)
    except KitError as error:
        yield fault(error.what, error.do)
