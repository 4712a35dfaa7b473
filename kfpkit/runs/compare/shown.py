"""A comparison as texts: cells, a table for the terminal, JSON."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kfpkit.core import durations
from kfpkit.runs import shown
from kfpkit.runs.compare.comparison import Comparison, Row, Section
from kfpkit.runs.compare.sides import Content
from kfpkit.runs.compare.values import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

#: How many rows of a section the terminal shows; page and JSON have all.
SHOWN_ROWS = 40

#: Longer texts are cut in the terminal.
SHOWN_CHARACTERS = 200

#: A list or an object with a longer text is shown by how much it holds.
SHORT = 60

#: Digits of a SHA-256 that a person compares.
DIGITS = 12

#: What a section counts: one and several.
NOUNS = {
    Section.PARAMETERS: "parameter",
    Section.STATES: "state",
    Section.METRICS: "metric",
    Section.OUTPUTS: "output value",
    Section.ARTIFACTS: "artifact",
}


def cell(section: Section, value: Any) -> str:
    """Return the text of a value."""
    if value is ABSENT:
        return str(ABSENT.value)
    if isinstance(value, Content):
        if value.sha256:
            return value.sha256[:DIGITS]
        return "not here" if value.size is None else f"not here, {value.size:,} bytes"
    if section is Section.DURATIONS:
        return durations.write(value)
    if section is Section.CACHE:
        return "yes" if value else "no"
    if isinstance(value, dict | list) and len(text := shown.value(value)) > SHORT:
        return f"{len(value):,} items, {len(text):,} characters"
    return shown.number(value) if section is Section.METRICS else shown.value(value)


def cells(section: Section, row: Row) -> list[str]:
    """Return the texts of a row; two that differ are never the same, and `=` is as the first."""
    texts = [cell(section, value) for value in row.values]
    if section is Section.ARTIFACTS:
        there = [value for value in row.values if isinstance(value, Content)]
        if len({value.type for value in there}) > 1:
            texts = [
                f"{text} {value.type}" if isinstance(value, Content) else text
                for text, value in zip(texts, row.values, strict=True)
            ]
    if section in (Section.DURATIONS, Section.CACHE, Section.STATES):
        return texts
    first, *others = texts
    if row.values[0] is ABSENT:
        return texts
    return [first, *("=" if text == first else text for text in others)]


def name(row: Row) -> str:
    """Return the name of a row's value, and at how many further places inside it differs."""
    return row.name + (f" and {row.more} more" if row.more else "")


def verdict(found: Comparison) -> str:
    """Return whether the runs agree, and in how much, as a sentence without a full stop."""
    letters = " and ".join([", ".join([*found.sides][:-1]), [*found.sides][-1]])
    if found.differences:
        return f"{letters} differ: {_numbers(found, differing=True)}"
    if not found.agree:
        return f"{letters} do not differ so far, and not all are over"
    return f"{letters} agree: {_numbers(found, differing=False)}"


def _numbers(found: Comparison, *, differing: bool) -> str:
    count = Counter(
        {
            section: sum(row.differs or not differing for row in rows)
            for section, rows in found.sections.items()
            if section.counts
        }
    )
    return ", ".join(
        f"{number:,} {NOUNS[section]}{'s' if number != 1 else ''}"
        for section, number in count.items()
        if number
    )


def table(found: Comparison) -> RenderableType:
    """Return a comparison for a terminal, of 80 columns or more."""
    parts: list[RenderableType] = [_runs(found)]
    for section, rows in found.sections.items():
        if section is not Section.METADATA:
            parts += [Text(), _section(found, section, rows)]
            if said := _left_out(rows):
                parts.append(Text(said, style="dim"))
    parts.append(Text())
    described = [row for row in found.sections.get(Section.METADATA, []) if row.differs]
    if described:
        keys = sorted({re.split(r"[.\[]", row.name)[1] for row in described})
        said = (
            f"{len(described):,} other metadata of artifacts differ, not counted: {', '.join(keys)}"
        )
        parts.append(Text(shown.plain(said), style="dim"))
    parts += [Text(f"note: {shown.plain(note)}", style="yellow") for note in found.notes]
    parts.append(Text(verdict(found), style="bold green" if found.agree else "bold red"))
    return Group(*parts)


def _runs(found: Comparison) -> Table:
    listed = Table("", "run", "target", "state", "started", box=None, pad_edge=False)
    for letter, side in found.sides.items():
        run = side.run
        started = f"{run.started.astimezone():%Y-%m-%d %H:%M}" if run.started else "-"
        texts = (letter, run.id, run.target, str(run.state), started)
        listed.add_row(*(Text(shown.plain(text), overflow="fold") for text in texts))
    return listed


def _section(found: Comparison, section: Section, rows: Sequence[Row]) -> Table:
    title = section.value if section.counts else f"{section.value} (not counted)"
    listed = Table(box=None, pad_edge=False)
    listed.add_column("")
    listed.add_column(title, overflow="fold", ratio=2)
    for letter in found.sides:
        listed.add_column(letter, overflow="fold", ratio=1)
    task = ""
    for row in _kept(rows):
        marked = row.differs and section.counts
        if row.task != task and row.name:
            listed.add_row("", Text(shown.plain(row.task), style="bold"))
        label = f"  {name(row)}" if row.task and row.name else row.task or name(row)
        texts = [
            text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
            for text in (shown.plain(label), *cells(section, row))
        ]
        style = "red" if marked else ""
        listed.add_row("≠" if marked else "", *(Text(text) for text in texts), style=style)
        task = row.task
    return listed


def _kept(rows: Sequence[Row]) -> Sequence[Row]:
    return rows if len(rows) <= SHOWN_ROWS else [row for row in rows if row.differs][:SHOWN_ROWS]


def _left_out(rows: Sequence[Row]) -> str:
    kept = _kept(rows)
    differ = sum(row.differs for row in rows) - sum(row.differs for row in kept)
    agree = len(rows) - len(kept) - differ
    more = [f"{differ:,} more that differ"] * bool(differ) + [f"{agree:,} that agree"] * bool(agree)
    return f"and {' and '.join(more)}" if more else ""


def as_json(found: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON values; a run that has no such value is left out of a row."""
    return {
        "agree": found.agree,
        "differences": len(found.differences),
        "tolerance": found.tolerance,
        "notes": found.notes,
        "runs": {
            letter: {
                "id": side.run.id,
                "pipeline": side.run.pipeline,
                "pipeline_version": side.run.pipeline_version,
                "target": side.run.target,
                "state": str(side.run.state),
                "started": side.run.started and side.run.started.isoformat(),
                "seconds": side.run.seconds,
            }
            for letter, side in found.sides.items()
        },
        "sections": {
            section.value: [_row(found.sides, row) for row in rows]
            for section, rows in found.sections.items()
        },
    }


def _row(letters: Iterable[str], row: Row) -> dict[str, Any]:
    values = {
        letter: vars(value) if isinstance(value, Content) else value
        for letter, value in zip(letters, row.values, strict=True)
        if value is not ABSENT
    }
    return {
        "task": row.task,
        "name": row.name,
        "differs": row.differs,
        "more": row.more,
        "values": values,
    }
