"""What a rule found in a pipeline, and where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Severity(StrEnum):
    """How bad a finding is."""

    #: The pipeline will not run, or not as it is written.
    ERROR = "error"
    #: It may not.
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing that a rule found."""

    #: ID of the rule.
    rule: str
    severity: Severity
    #: What is wrong, as a sentence without a full stop.
    message: str
    #: The way out, likewise.
    do: str
    #: The Python file where it is known, else the file that was read.
    file: Path | None = None
    #: Its line, from 1.
    line: int | None = None
    #: The task, as `outer/inner`; empty where it is none's.
    task: str = ""
    #: Place in the IR, as `root.dag.tasks.train`; empty where it is none.
    path: str = ""

    def __str__(self) -> str:
        """The finding in one line."""
        place = f"{self.file or '-'}:{self.line}" if self.line else str(self.file or "-")
        task = f"task {self.task}: " if self.task else ""
        path = f" ({self.path})" if self.path else ""
        return f"{place}: {self.severity}: {task}{self.message}{path}. {self.do}. [{self.rule}]"

    def as_json(self) -> dict[str, Any]:
        """Return its fields as JSON holds them; what is not known is null or empty."""
        return {
            "rule": self.rule,
            "severity": str(self.severity),
            "message": self.message,
            "do": self.do,
            "file": str(self.file) if self.file else None,
            "line": self.line,
            "task": self.task,
            "path": self.path,
        }
