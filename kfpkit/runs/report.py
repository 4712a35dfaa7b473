"""The report on a run: one HTML file that needs nothing else, made from the run's description."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from kfpkit.runs import figures
from kfpkit.runs.run import Artifact, Run, State, Task, duration

if TYPE_CHECKING:
    from datetime import datetime

#: Name of the report's file in a run's folder.
FILE = "report.html"

#: Documents up to this many bytes become part of the report; larger ones are linked only.
EMBEDDED_BYTES = 2_000_000

#: Metadata that the report draws instead of listing it.
_DRAWN = ("confusionMatrix", "confidenceMetrics")

#: A value's text above this length is folded away.
_SHORT = 160


@dataclass(frozen=True)
class Metric:
    """A number a task reported."""

    task: str
    name: str
    value: Any


@dataclass(frozen=True)
class Document:
    """An HTML or Markdown artifact that the report shows."""

    task: Task
    artifact: Artifact
    html: str | Markup


def write(run: Run, folder: Path) -> Path:
    """Write the report on a run into its folder and return the file.

    Args:
        run: The run's description.
        folder: The run's folder, which the paths in the description start from.
    """
    path = folder / FILE
    path.write_text(render(run, folder), encoding="utf-8")
    return path


def render(run: Run, folder: Path) -> str:
    """Return the report on a run as HTML; embeds the small documents of the run's folder."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bytes": _bytes,
        "duration": duration,
        "href": quote,
        "id": id,
        "moment": _moment,
        "number": number,
        "text": _text,
    }
    documents = _documents(run, folder)
    tasks = run.tasks
    confusions = [figures.confusion(_label(t, a), a.metadata) for t, a in _all(run)]
    rocs = [figures.roc(_label(t, a), a.metadata) for t, a in _all(run)]
    return environment.get_template("report.html.j2").render(
        run=run,
        State=State,
        counts={state: sum(task.state is state for task in tasks) for state in State},
        metrics=metrics(run),
        graphs={
            "wide": figures.graph(tasks, upright=False),
            "tall": figures.graph(tasks, upright=True),
        },
        node={"width": figures.NODE_WIDTH, "height": figures.NODE_HEIGHT},
        bars={task.name: _bar(run, task) for task in tasks},
        confusions=[shown for shown in confusions if shown],
        rocs=[shown for shown in rocs if shown],
        roc_size=figures.ROC_SIZE,
        metadata={id(a): _metadata(a) for _, a in _all(run)},
        pages=[d for d in documents if d.artifact.type == "system.HTML"],
        notes=[d for d in documents if d.artifact.type == "system.Markdown"],
        short=_SHORT,
    )


def metrics(run: Run) -> list[Metric]:
    """Return the numbers of all Metrics artifacts, as each task listed them."""
    return [
        Metric(task.name, name, value)
        for task, artifact in _all(run)
        if artifact.type == "system.Metrics"
        for name, value in artifact.metadata.items()
        if isinstance(value, int | float | str)
    ]


def number(value: Any) -> str:
    """Return a metric's value with four significant digits, whole numbers whole."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"


def _all(run: Run) -> list[tuple[Task, Artifact]]:
    return [(task, artifact) for task in run.rows for artifact in task.artifacts]


def _label(task: Task, artifact: Artifact) -> str:
    return f"{task.name} · {artifact.name}"


def _documents(run: Run, folder: Path) -> list[Document]:
    # No HTML inside Markdown: the text comes from a task, the report is a page of ours.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    found = []
    for task, artifact in _all(run):
        if artifact.type not in ("system.HTML", "system.Markdown") or not artifact.path:
            continue
        path = (folder / artifact.path).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            continue
        if path.stat().st_size > EMBEDDED_BYTES:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if artifact.type == "system.Markdown":
            found.append(Document(task, artifact, Markup(markdown.render(text))))  # noqa: S704
        else:
            found.append(Document(task, artifact, text))
    return found


def _metadata(artifact: Artifact) -> list[tuple[str, str]]:
    """Return the metadata as texts; without what is drawn, and without what is a metric."""
    if artifact.type == "system.Metrics":
        return []
    return [
        (key, _text(value))
        for key, value in artifact.metadata.items()
        if key not in _DRAWN and value not in ({}, [], "")
    ]


def _bar(run: Run, task: Task) -> tuple[float, float] | None:
    """Return where a task's bar starts and how long it is, in per cent of the run's time."""
    if not (run.seconds and run.started and task.started and task.seconds is not None):
        return None
    start = (task.started - run.started).total_seconds() / run.seconds * 100
    return round(max(start, 0), 2), round(min(task.seconds / run.seconds * 100, 100), 2)


def _text(value: Any) -> str:
    """Return a value as a person writes it: lists and flat objects without quotes and braces."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value and all(_plain(v) for v in value.values()):
        return ", ".join(f"{key}: {_text(v)}" for key, v in value.items())
    if isinstance(value, list) and value and all(_plain(v) for v in value):
        return ", ".join(_text(v) for v in value)
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}" if value != int(value) else str(int(value))
    return json.dumps(value, ensure_ascii=False)


def _plain(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _bytes(size: int | None) -> str:
    if size is None:
        return ""
    scaled, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if scaled < 999.5:
            break
        scaled, unit = scaled / 1000, larger
    return f"{scaled:.3g} {unit}"


def _moment(moment: datetime) -> str:
    """Return a time on this machine's clock, with the zone that it is in."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"
