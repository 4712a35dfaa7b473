"""Says what of a pipeline would not run on a target, before anything runs."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from kfpkit.core.errors import BadInputError
from kfpkit.lint import ignores
from kfpkit.lint.finding import Finding, Severity
from kfpkit.lint.rule import TARGETS, Hit, Rule
from kfpkit.lint.subject import Subject, read

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kfp.pipelines import Pipeline

#: The modules that have rules, in the order in which their findings and their pages come.
MODULES = ("form", "protos", "google", "storage", "behaviour")


@cache
def rules() -> tuple[Rule, ...]:
    """Return all rules."""
    found = [import_module(f"{__name__}.{module}").RULES for module in MODULES]
    return tuple(rule for rules in found for rule in rules)


def check(pipeline: Pipeline | Path, target: str) -> list[Finding]:
    """Return what of a pipeline would not run on a target.

    Args:
        pipeline: A pipeline, or a file that should be a compiled one; whatever it holds.
        target: One of `kfpkit.lint.rule.TARGETS`.

    Raises:
        BadInputError: There is no such target.
    """
    if target not in TARGETS:
        raise BadInputError(f"there is no target {target!r}", f"Targets: {', '.join(TARGETS)}")
    subject = read(pipeline, target)
    return ignores.without(
        [
            _finding(subject, rule, hit)
            for rule in rules()
            if target in rule.targets and (rule.raw or subject.spec)
            for hit in rule.check(subject)
        ]
    )


def _finding(subject: Subject, rule: Rule, hit: Hit) -> Finding:
    task = hit.task or (subject.task_of(hit.path) if hit.path else "")
    file, line = subject.place_of(hit.path, task)
    return Finding(
        rule=rule.id,
        severity=hit.severity or rule.severity,
        message=hit.message,
        do=hit.do or rule.do,
        file=file,
        line=hit.line or line,
        task=task,
        path=hit.path,
    )


__all__ = ["Finding", "Severity", "check", "rules"]
