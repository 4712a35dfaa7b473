"""Rules on the form of a file: whether it is a pipeline at all, and one that a target takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfpkit.lint.finding import Severity
from kfpkit.lint.rule import ALL, Hit, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.lint.subject import Subject


def _unreadable(subject: Subject) -> Iterator[Hit]:
    if subject.trouble:
        yield Hit(subject.trouble, line=subject.trouble_line)


RULES: tuple[Rule, ...] = (
    Rule(
        "unreadable",
        Severity.ERROR,
        ALL,
        "A file that cannot be read",
        "Nothing can be said of it, and no target takes it.",
        "Give a pipeline compiled by the KFP SDK, or a Python file with one",
        _unreadable,
        raw=True,
    ),
)
