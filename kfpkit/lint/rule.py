"""Rules: what would not run on a target, as data.

A module of rules ends in `RULES`, a tuple of them; `kfpkit.lint.MODULES` names the modules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kfpkit.lint.finding import Severity
    from kfpkit.lint.subject import Subject

KFP_2_14_3 = "kfp@2.14.3"
KFP_2_17_0 = "kfp@2.17.0"
VERTEX = "vertex"
LOCAL = "local"

#: Groups of targets, as rules have them.
KFP = frozenset({KFP_2_14_3, KFP_2_17_0})
REMOTE = KFP | {VERTEX}
ALL = REMOTE | {LOCAL}

#: All targets, in the order in which they are shown.
TARGETS = (KFP_2_14_3, KFP_2_17_0, VERTEX, LOCAL)


def around(release: str) -> tuple[str, ...]:
    """Return the target for a release of KFP; of one that is not known the next below and above."""
    parts = [int(part) for part in release.split(".") if part.isdigit()]
    known = {
        target: [int(n) for n in target.partition("@")[2].split(".")] for target in sorted(KFP)
    }
    below = [one for one in known if known[one] <= parts][-1:]
    above = [one for one in known if known[one] >= parts][:1]
    return tuple(dict.fromkeys(below + above))


@dataclass(frozen=True)
class Hit:
    """One place where a rule is broken."""

    #: What is wrong there, as a sentence without a full stop.
    message: str
    #: The task, as `outer/inner`; empty where it is none's, or where `path` says it.
    task: str = ""
    #: Place in the IR, from which the line follows, as `root.dag.tasks.train.inputs`.
    path: str = ""
    #: Line of the Python file, where the rule knows it better (`Source.line`).
    line: int | None = None
    #: Where it is another than the rule's.
    severity: Severity | None = None
    #: The way out, where it is another than the rule's.
    do: str = ""


@dataclass(frozen=True)
class Rule:
    """One thing that a pipeline must not do."""

    #: Words with hyphens: it stands in `# kfpkit: ignore[ID]`.
    id: str
    severity: Severity
    #: Targets that it concerns.
    targets: frozenset[str]
    #: What is found, as a title of a few words.
    title: str
    #: Why it does not run there, in a sentence or two with full stops.
    why: str
    #: The way out, as a sentence without a full stop.
    do: str
    check: Callable[[Subject], Iterator[Hit]]
    #: Whether it also reads what is no pipeline. Other rules may rely on the IR's shapes.
    raw: bool = False
    #: Targets on which it is a warning, though elsewhere an error.
    warns: frozenset[str] = frozenset()
    #: Whether the rules that come later do not look at what breaks it.
    stops: bool = False
