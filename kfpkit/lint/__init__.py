"""Says what of a pipeline would not run on a target, before anything runs."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING
from warnings import catch_warnings, simplefilter

from kfpkit.core.errors import BadInputError
from kfpkit.core.urls import without_password
from kfpkit.lint import ignores
from kfpkit.lint.finding import Finding, Severity
from kfpkit.lint.reading import read
from kfpkit.lint.rule import TARGETS, Hit, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kfpkit.kfp.pipelines import Pipeline
    from kfpkit.lint.subject import Subject

#: The modules that have rules, in the order in which their findings and their pages come.
MODULES = ("form", "protos", "graph", "google", "storage", "behaviour")


@cache
def rules() -> tuple[Rule, ...]:
    """Return all rules."""
    found = [import_module(f"{__name__}.{module}").RULES for module in MODULES]
    return tuple(rule for rules in found for rule in rules)


def check(
    pipeline: Pipeline | Path,
    target: str,
    nodes: Sequence[Mapping[str, str]] = (),
    image_prefix: str = "",
) -> list[Finding]:
    """Return what of a pipeline would not run on a target.

    Args:
        pipeline: A pipeline, or a file that should be a compiled one; whatever it holds.
        target: One of `kfpkit.lint.rule.TARGETS`.
        nodes: What each node of the target has for pods (`status.allocatable`), where it is known.
        image_prefix: Of a file, the registry that the image of the sample's tasks is pulled from;
            a pipeline has its own.

    Raises:
        BadInputError: There is no such target.
    """
    if target not in TARGETS:
        raise BadInputError(f"there is no target {target!r}", f"Targets: {', '.join(TARGETS)}")
    with catch_warnings():
        simplefilter("ignore", SyntaxWarning)  # of code that is parsed, as for "\\d"
        return ignores.without(_found(read(pipeline, target, image_prefix), nodes))


def _found(subject: Subject, nodes: Sequence[Mapping[str, str]]) -> list[Finding]:
    subject.machines = nodes
    found: list[Finding] = []
    for rule in rules():
        if subject.target in rule.targets and (rule.raw or subject.spec):
            hits = list(rule.check(subject))
            found += [_finding(subject, rule, hit) for hit in hits]
            if hits and rule.stops:
                break
    return list({_once(one): one for one in reversed(found)}.values())[::-1]


def _once(finding: Finding) -> tuple[object, ...]:
    """Return what makes a finding another: code that several tasks run is found once."""
    code = ".container.command[" in finding.path and finding.file and finding.file.suffix == ".py"
    where = (finding.line,) if code else (finding.task, finding.path, finding.line)
    return finding.rule, finding.message, finding.file, *where


def _finding(subject: Subject, rule: Rule, hit: Hit) -> Finding:
    task = hit.task or (subject.task_of(hit.path) if hit.path else "")
    file, line = subject.place_of(hit.path, task)
    usual = Severity.WARNING if subject.target in rule.warns else rule.severity
    return Finding(
        rule=rule.id,
        severity=hit.severity or usual,
        message=without_password(hit.message),
        do=hit.do or rule.do,
        file=file,
        line=hit.line or line,
        task=task,
        path=hit.path,
    )


__all__ = ["Finding", "Severity", "check", "rules"]
