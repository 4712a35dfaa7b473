"""Runs side by side: what is compared, and what of it differs.

The first run is the measure. Counted as a difference is what one pipeline should give again with
the same parameters: parameters, states, output values, metrics, artifacts' bytes. Times, cache
hits, IDs, URIs and what else artifacts say of themselves are shown and never counted: they also
tell where and when a run was.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from kfpkit.core.errors import BadInputError
from kfpkit.kfp.run import State
from kfpkit.runs.compare.sides import Content, Side, content
from kfpkit.runs.compare.values import ABSENT, Alike, alike, unlike

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kfpkit.kfp.run import Artifact, Task

#: Artifacts that are all metadata, which is a task's result.
METRICS = (
    "system.Metrics",
    "system.ClassificationMetrics",
    "system.SlicedClassificationMetrics",
)

#: What two numbers may differ by where ML Metadata's six decimals of one are all that is known.
SIX_DECIMALS = 1e-6

#: States of a run that is over.
_OVER = (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class Section(StrEnum):
    """What is compared."""

    PARAMETERS = "parameters"
    STATES = "states"
    METRICS = "metrics"
    OUTPUTS = "output values"
    ARTIFACTS = "artifacts"
    DURATIONS = "durations"
    CACHE = "from the cache"
    METADATA = "metadata"

    @property
    def counts(self) -> bool:
        """Whether a difference here is one of the runs."""
        return self not in (Section.DURATIONS, Section.CACHE, Section.METADATA)


@dataclass(frozen=True)
class Row:
    """One thing in all runs.

    Attributes:
        task: The task's name, or a round's; empty for the run as a whole.
        name: Of the value. Where values that hold others differ, with the place inside.
        values: One for each run; `ABSENT` where it has none.
        differs: Whether they differ.
        more: At how many further places inside they differ.
    """

    task: str
    name: str
    values: tuple[Any, ...]
    differs: bool
    more: int = 0


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        sides: The runs by their letters, in the order they were named.
        tolerance: Relative, of metrics and of numbers that are not whole.
        sections: The rows; empty sections are left out.
        notes: What a reader should know and what is no difference, sentences without a full stop.
    """

    sides: dict[str, Side]
    tolerance: float
    sections: dict[Section, list[Row]]
    notes: list[str]

    @property
    def differences(self) -> list[Row]:
        """The rows that differ and count."""
        counted = [rows for section, rows in self.sections.items() if section.counts]
        return [row for rows in counted for row in rows if row.differs]

    @property
    def agree(self) -> bool:
        """Whether the runs are over and nothing that counts differs."""
        over = all(side.run.state in _OVER for side in self.sides.values())
        return over and not self.differences


def compare(sides: Sequence[Side], *, tolerance: float = 0.0, contents: bool = True) -> Comparison:
    """Compare runs.

    Args:
        sides: The runs, the measure first.
        tolerance: As in `values.alike`; whole numbers have it in metrics alone.
        contents: Whether the bytes of artifacts are compared.

    Raises:
        BadInputError: As `check`.
    """
    check(len(sides), tolerance)
    table = _Table(sides, tolerance, contents=contents)
    table.fill()
    letters = dict(zip(string.ascii_uppercase, sides, strict=False))
    found = {section: rows for section, rows in table.rows.items() if rows}
    return Comparison(letters, tolerance, found, _notes(letters, found))


def check(runs: int, tolerance: float) -> None:
    """Refuse what cannot be compared, before any run is read.

    Raises:
        BadInputError: There are fewer than two runs or more than there are letters for, or the
            tolerance is no share.
    """
    if not 2 <= runs <= len(string.ascii_uppercase):
        raise BadInputError(
            f"{runs} {'run is' if runs == 1 else 'runs are'} named",
            f"Name two or more, up to {len(string.ascii_uppercase)}",
        )
    if not 0 <= tolerance < 1:
        raise BadInputError(f"TOLERANCE={tolerance} is none", "Give a share from 0 to 1, as 0.01")


class _Table:
    """Fills the sections."""

    def __init__(self, sides: Sequence[Side], tolerance: float, *, contents: bool) -> None:
        self._sides = sides
        self._exact: Alike = alike
        self._number: Alike = partial(alike, tolerance=tolerance)
        self._tolerance = tolerance
        self._contents = contents
        self.rows: dict[Section, list[Row]] = {section: [] for section in Section}

    def fill(self) -> None:
        runs = [side.run for side in self._sides]
        given = [{p.name: p.value for p in run.parameters} for run in runs]
        self._all(Section.PARAMETERS, "", given, self._exact)
        self._one(Section.STATES, "", "whole run", [str(run.state) for run in runs])
        self._one(Section.DURATIONS, "", "whole run", [run.seconds for run in runs])
        tasks = [{task.name: task for task in run.tasks} for run in runs]
        for name in _union(tasks):
            self._task(name, [mine.get(name) for mine in tasks])

    def _task(self, name: str, tasks: Sequence[Task | None]) -> None:
        states = [str(task.state) if task else ABSENT for task in tasks]
        self._one(Section.STATES, name, "", states)
        self._one(
            Section.DURATIONS, name, "", [_known(task.seconds if task else None) for task in tasks]
        )
        cached = [task.cached if task else ABSENT for task in tasks]
        if True in cached:
            self._one(Section.CACHE, name, "", cached)
        rounds = [{row.name: row for row in task.rounds} if task else {} for task in tasks]
        if not any(rounds):
            self._results(name, tasks)
            return
        counts = [len(mine) if task else ABSENT for task, mine in zip(tasks, rounds, strict=True)]
        self._one(Section.STATES, name, "rounds", counts)
        for each in _union(rounds):
            rows = [mine.get(each) for mine in rounds]
            states = [str(row.state) if row else ABSENT for row in rows]
            # That some have more rounds was said above.
            self._one(Section.STATES, each, "", states, absent=len(set(counts)) == 1)
            self._results(each, rows)

    def _results(self, name: str, rows: Sequence[Task | None]) -> None:
        """Compare what the rows left; where their states differ, what is absent was told."""
        absent = len({row and row.state for row in rows}) == 1
        outputs = [row.outputs if row else {} for row in rows]
        self._all(Section.OUTPUTS, name, outputs, self._number, absent=absent)
        artifacts = [{a.name: a for a in row.artifacts} if row else {} for row in rows]
        measured = [
            sum(artifact.type == METRICS[0] for artifact in mine.values()) for mine in artifacts
        ]
        for each in _union(artifacts):
            found = [mine.get(each) for mine in artifacts]
            alone = max(measured) == 1 and any(a and a.type == METRICS[0] for a in found)
            self._metadata(name, "" if alone else f"{each}.", found, absent=absent)
            if self._contents:
                self._content(name, each, found, absent=absent)

    def _metadata(
        self, task: str, prefix: str, artifacts: Sequence[Artifact | None], *, absent: bool
    ) -> None:
        known = [artifact.metadata if artifact else {} for artifact in artifacts]
        result = any(artifact and artifact.type in METRICS for artifact in artifacts)
        for key in _union(known):
            values = [mine.get(key, ABSENT) for mine in known]
            if result:
                rounded = any(artifact and key in artifact.rounded for artifact in artifacts)
                agree: Alike = partial(
                    alike,
                    tolerance=self._tolerance,
                    slack=SIX_DECIMALS if rounded else 0.0,
                    whole=False,
                )
                self._one(Section.METRICS, task, prefix + key, values, agree, absent=absent)
            else:
                self._one(Section.METADATA, task, prefix + key, values)

    def _content(
        self, task: str, name: str, artifacts: Sequence[Artifact | None], *, absent: bool
    ) -> None:
        values = [
            content(artifact, side.folder) if artifact else ABSENT
            for side, artifact in zip(self._sides, artifacts, strict=True)
        ]
        there = [value for value in values if isinstance(value, Content)]
        differs = (
            len({value.type for value in there}) > 1
            or len({value.sha256 for value in there} - {""}) > 1
            or len({value.size for value in there} - {None}) > 1
            or (absent and len(there) < len(values))
        )
        if differs or any(value.sha256 or value.size is not None for value in there):
            self.rows[Section.ARTIFACTS].append(Row(task, name, tuple(values), differs))

    def _all(
        self,
        section: Section,
        task: str,
        values: Sequence[Mapping[str, Any]],
        agree: Alike,
        *,
        absent: bool = True,
    ) -> None:
        for name in _union(values):
            row = [mine.get(name, ABSENT) for mine in values]
            self._one(section, task, name, row, agree, absent=absent)

    def _one(
        self,
        section: Section,
        task: str,
        name: str,
        values: Sequence[Any],
        agree: Alike = alike,
        *,
        absent: bool = True,
    ) -> None:
        """Add a row; `absent` says whether it counts where a run has no such value."""
        compared = [value for value in values if absent or value is not ABSENT]
        found = unlike(compared, agree) if compared else []
        if not found:
            self.rows[section].append(Row(task, name, tuple(values), differs=False))
            return
        (path, at), *more = found
        rest = iter(at)
        shown = [next(rest) if absent or value is not ABSENT else ABSENT for value in values]
        self.rows[section].append(Row(task, name + path, tuple(shown), True, len(more)))


def _union(listed: Iterable[Iterable[str]]) -> list[str]:
    """Return all names, each once, in the order they first come in."""
    return list(dict.fromkeys(name for names in listed for name in names))


def _known(seconds: float | None) -> Any:
    return ABSENT if seconds is None else seconds


def _notes(sides: Mapping[str, Side], sections: Mapping[Section, list[Row]]) -> list[str]:
    runs = {letter: side.run for letter, side in sides.items()}
    notes = [
        f"{letter} is not over: it is {run.state}"
        for letter, run in runs.items()
        if run.state not in _OVER
    ]
    if len({run.id for run in runs.values()}) < len(runs):
        notes.append("Some are the same run by their ID, from different places")
    if len({run.pipeline for run in runs.values()}) > 1:
        notes.append("They are runs of different pipelines")
    elif len({run.pipeline_version for run in runs.values()}) > 1:
        notes.append("They are runs of different versions of the pipeline")
    artifacts = sections.get(Section.ARTIFACTS, [])
    lacking = [
        row
        for row in artifacts
        if any(isinstance(value, Content) and not value.sha256 for value in row.values)
    ]
    if lacking:
        notes.append(
            f"The bytes of {len(lacking)} of {len(artifacts)} artifacts are not in the folders of "
            "all runs: of these no more than sizes were compared"
        )
    return notes
