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
    #: The command that mends it or shows more, or what to do.
    command: str = ""
    #: What was looked at, where the check has several.
    subject: str = ""

    def __str__(self) -> str:
        """The finding in one line."""
        what = f"{self.subject}: " if self.subject else ""
        hint = f" ({self.command})" if self.command else ""
        return f"{self.verdict:<8} {what}{self.evidence}{hint}"


def ok(evidence: str, *, subject: str = "") -> Finding:
    """Return that something is as it should be."""
    return Finding(Verdict.OK, evidence, subject=subject)


def warning(evidence: str, command: str = "", *, subject: str = "") -> Finding:
    """Return that something will become a fault, or was one."""
    return Finding(Verdict.WARNING, evidence, command, subject)


def fault(evidence: str, command: str = "", *, subject: str = "") -> Finding:
    """Return that something does not work."""
    return Finding(Verdict.FAULT, evidence, command, subject)


def skipped(evidence: str, command: str = "") -> Finding:
    """Return that something was not looked at, and why."""
    return Finding(Verdict.SKIPPED, evidence, command)
