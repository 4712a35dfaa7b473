"""A comparison as one HTML file that needs nothing else, in the look of the report on a run."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfpkit.kfp.run import State
from kfpkit.runs.compare import shown
from kfpkit.runs.compare.comparison import METRICS, Comparison, Row, Section
from kfpkit.runs.compare.sides import Content
from kfpkit.runs.report import figures
from kfpkit.runs.report.page import environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_TEMPLATES = Path(__file__).parent / "templates"

#: The order of the page: what people look for first.
_ORDER = (
    Section.METRICS,
    Section.PARAMETERS,
    Section.OUTPUTS,
    Section.ARTIFACTS,
    Section.STATES,
    Section.DURATIONS,
    Section.CACHE,
    Section.METADATA,
)

#: Rows that agree are folded away where a section has more rows than this.
_OPEN = 30

#: A value's text above this length is folded away.
_SHORT = 160

#: Curves in one plot, which are told apart by their lines.
_CURVES = 4

#: Pictures that are drawn; those that differ come first.
_PICTURES = 24


@dataclass(frozen=True)
class Cell:
    """What a run has in a row.

    Attributes:
        text: The value.
        whole: What is only shown when asked for: a whole SHA-256.
        soft: Beside it: a size, or how far it is from the first run's.
        bar: Per cent of the longest bar of the row, or of the section; None where there is none.
        differs: Whether it is not as the first run's.
    """

    text: str
    whole: str = ""
    soft: str = ""
    bar: float | None = None
    differs: bool = False


@dataclass(frozen=True)
class Line:
    """A row of the page."""

    row: Row
    cells: list[Cell]


@dataclass(frozen=True)
class Card:
    """A section of the page, its lines by task.

    Attributes:
        section: Which.
        bad: How many lines differ and count.
        open: The lines in the open.
        folded: Those that are folded away.
        summary: What is said of these.
    """

    section: Section
    bad: int
    open: list[tuple[str, list[Line]]]
    folded: list[tuple[str, list[Line]]]
    summary: str


@dataclass(frozen=True)
class Picture:
    """One result of an evaluation in all runs: matrices side by side, or curves in one plot."""

    matrices: list[figures.Confusion]
    curves: list[list[figures.Curve]]
    differs: bool


def render(found: Comparison) -> str:
    """Return the page."""
    cards = [
        _card(section, found.sections[section]) for section in _ORDER if section in found.sections
    ]
    pictures = sorted(_pictures(found), key=lambda picture: not picture.differs)
    return (
        environment(_TEMPLATES)
        .get_template("compare.html.j2")
        .render(
            found=found,
            verdict=shown.verdict(found),
            pipelines=list(dict.fromkeys(side.run.pipeline for side in found.sides.values())),
            cards=cards,
            name=shown.name,
            pictures=pictures[:_PICTURES],
            left_out=len(pictures[_PICTURES:]),
            short=_SHORT,
            States=list(State),
        )
    )


def _card(section: Section, rows: Sequence[Row]) -> Card:
    lengths = [
        _length(value)
        for row in rows
        for value in row.values
        if section is Section.DURATIONS and row.task
    ]
    longest = max(lengths, default=0)
    lines = [Line(row, _cells(section, row, longest)) for row in rows]
    differing = [line for line in lines if line.row.differs]
    bad = len(differing) if section.counts else 0
    if section is Section.METADATA:
        said = f"{len(lines):,} values, {len(differing):,} differ"
        return Card(section, bad, [], _by_task(lines), said)
    if len(lines) <= _OPEN:
        return Card(section, bad, _by_task(lines), [], "")
    if not section.counts:
        return Card(section, bad, [], _by_task(lines), f"{len(lines):,} tasks")
    agreeing = [line for line in lines if not line.row.differs]
    said = f"{len(agreeing):,} that agree"
    return Card(section, bad, _by_task(differing), _by_task(agreeing), said)


def _by_task(lines: Iterable[Line]) -> list[tuple[str, list[Line]]]:
    return [(task, list(mine)) for task, mine in groupby(lines, key=lambda line: line.row.task)]


def _cells(section: Section, row: Row, longest: float) -> list[Cell]:
    first = row.values[0]
    if section is Section.METRICS:
        longest = max(_length(value) for value in row.values)
    drawn = longest and (section is Section.METRICS or (section is Section.DURATIONS and row.task))
    cells = []
    for value in row.values:
        content = isinstance(value, Content)
        cells.append(
            Cell(
                text=shown.cell(section, value),
                whole=value.sha256 if content else "",
                soft=_size(value) if content else _change(section, first, value),
                bar=_length(value) / longest * 100 if drawn and _length(value) else None,
                differs=row.differs and section.counts and value != first,
            )
        )
    return cells


def _size(value: Content) -> str:
    return f"{value.size:,} bytes" if value.sha256 and value.size is not None else ""


def _change(section: Section, first: Any, value: Any) -> str:
    """Return how far a number is from the first run's, relative to that."""
    measure, number = _finite(first), _finite(value)
    shown_for = section in (Section.METRICS, Section.OUTPUTS)
    if not shown_for or not measure or number is None or number == measure:
        return ""
    return f"{(number - measure) / abs(measure) * 100:+.2g} %".replace("-", "\N{MINUS SIGN}")


def _length(value: Any) -> float:
    """Return the length of a value's bar; 0 where it is no number that has one."""
    return abs(_finite(value) or 0.0)


def _finite(value: Any) -> float | None:
    """Return a value as a float; None where it is none that is finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _pictures(found: Comparison) -> Iterator[Picture]:
    """Yield the pictures of each evaluation; runs whose are the same share one."""
    held: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for letter, side in found.sides.items():
        for row in side.run.rows:
            for artifact in row.artifacts:
                if artifact.type in METRICS:
                    held.setdefault((row.name, artifact.name), {})[letter] = artifact.metadata
    for (task, name), by_letter in held.items():
        for key, draw in (
            ("confusionMatrix", figures.confusion),
            ("confidenceMetrics", figures.roc),
        ):
            same: dict[str, list[str]] = {}
            for letter, metadata in by_letter.items():
                if key in metadata:
                    same.setdefault(json.dumps(metadata[key], sort_keys=True), []).append(letter)
            drawn = [
                draw(f"{' = '.join(letters)} · {task} · {name}", by_letter[letters[0]])
                for letters in same.values()
            ]
            matrices = [one for one in drawn if isinstance(one, figures.Confusion)]
            curves = [one for one in drawn if isinstance(one, figures.Curve)]
            if matrices or curves:
                several = [curves[at : at + _CURVES] for at in range(0, len(curves), _CURVES)]
                yield Picture(matrices, several, differs=len(same) > 1)
