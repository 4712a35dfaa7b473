"""What a check saw, and how good or bad that is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a check came to, the worst last."""

    SKIPPED = "skipped"
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """One thing that a check saw."""

    verdict: Verdict
    #: What was seen, for a person.
    evidence: str
    #: The command that mends it or shows more.
    command: str = ""


def ok(evidence: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(Verdict.OK, evidence)


def warning(evidence: str, command: str) -> Finding:
    """Return that something will become a fault, or was one."""
    return Finding(Verdict.WARNING, evidence, command)


def fault(evidence: str, command: str) -> Finding:
    """Return that something does not work."""
    return Finding(Verdict.FAULT, evidence, command)


def skipped(evidence: str, command: str = "") -> Finding:
    """Return that something was not looked at, and why."""
    return Finding(Verdict.SKIPPED, evidence, command)
