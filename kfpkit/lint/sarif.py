"""Findings as SARIF 2.1.0, which code hosts and editors show beside the lines."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kfpkit.lint import rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kfpkit.lint.finding import Finding

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def log(findings: Iterable[Finding]) -> dict[str, Any]:
    """Return findings as a SARIF log; files are named from the working directory where below."""
    known = [
        {
            "id": rule.id,
            "shortDescription": {"text": rule.title},
            "fullDescription": {"text": rule.why},
            "help": {"text": f"{rule.do}."},
            "defaultConfiguration": {"level": str(rule.severity)},
        }
        for rule in rules()
    ]
    tool = {"name": "kfpkit lint", "version": version("kfpkit"), "rules": known}
    run = {"tool": {"driver": tool}, "results": [_result(one) for one in findings]}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(finding: Finding) -> dict[str, Any]:
    place: dict[str, Any] = {}
    if finding.file:
        place["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(finding.file)},
            "region": {"startLine": finding.line or 1},
        }
    if finding.path:
        place["logicalLocations"] = [{"fullyQualifiedName": finding.path}]
    task = f"Task {finding.task}: " if finding.task else ""
    return {
        "ruleId": finding.rule,
        "level": str(finding.severity),
        "message": {"text": f"{task}{finding.message}. {finding.do}."},
        "locations": [place] if place else [],
    }


def _uri(file: Path) -> str:
    """Return a file as a URI reference; SARIF takes one relative to the checkout's top."""
    here = Path.cwd()
    path = file.absolute()
    return quote(path.relative_to(here).as_posix()) if path.is_relative_to(here) else path.as_uri()
