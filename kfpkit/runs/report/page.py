"""The report on a run: one HTML file that needs nothing else, made from the run's description."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from kfpkit.core import durations
from kfpkit.kfp.run import ROUND, Artifact, Run, State, Task
from kfpkit.runs import shown
from kfpkit.runs.report import figures

if TYPE_CHECKING:
    from datetime import datetime

#: Name of the report's file in a run's folder.
FILE = "report.html"

#: Documents up to this many bytes become part of the report; larger ones are linked only.
EMBEDDED_BYTES = 2_000_000

#: Bytes of all documents in a report; those that come after are linked only.
ALL_EMBEDDED_BYTES = 10_000_000

_TEMPLATES = Path(__file__).parent / "templates"

#: A value's text above this length is folded away.
_SHORT = 160

#: A value's text above this length is shown in part; run.json has the whole.
_LONG = 10_000

#: How much of a failed task's last line is in the open.
_CAUSE = 400

#: How many items of a list are in the open: failed tasks, figures.
_OPEN = 6

#: Curves in one plot, which are told apart by their lines.
_CURVES = 4


@dataclass(frozen=True)
class Metric:
    """A value a task reported.

    Attributes:
        task: The task's name, or the round's.
        name: The value's name; the artifact's before it where the task has several with metrics.
    """

    task: str
    name: str
    value: Any


@dataclass(frozen=True)
class Document:
    """An HTML or Markdown artifact that the report shows."""

    row: Task
    artifact: Artifact
    html: str | Markup


@dataclass(frozen=True)
class Part:
    """The documents of one output of a task: one, or one a round."""

    task: Task
    documents: list[Document]

    @property
    def heading(self) -> str:
        """The output's name as a heading."""
        name = self.documents[0].artifact.name.replace("_", " ")
        return name[:1].upper() + name[1:]


@dataclass(frozen=True)
class Plot:
    """A picture of the evaluation: a confusion matrix, or some ROC curves."""

    matrix: figures.Confusion | None = None
    curves: tuple[figures.Curve, ...] = ()


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
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    parts, linked = _documents(run, folder)
    plots, drawn = _plots(run)
    return environment().get_template("report.html.j2").render(
        run=run,
        script=Markup(script),  # noqa: S704 - our own
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        looped=[row for task in run.tasks for row in task.rounds],
        metrics=_by_row(metrics(run)),
        graphs={
            "wide": figures.graph(run.tasks, upright=False),
            "tall": figures.graph(run.tasks, upright=True),
        },
        node={"width": figures.NODE_WIDTH, "height": figures.NODE_HEIGHT},
        bars={row.name: _bar(run, row) for row in (*run.tasks, *run.rows)},
        plots=plots,
        metadata={id(a): _metadata(a, drawn) for _, a in _all(run)},
        parts=parts,
        linked=linked,
        short=_SHORT,
        long=_LONG,
        open=_OPEN,
    )


def environment(*folders: Path) -> Environment:
    """Return what renders pages on runs: the templates of reports, their filters, and more.

    Args:
        folders: More templates, looked at first.
    """
    made = Environment(
        loader=FileSystemLoader([*folders, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda text: shown.plain(text) if type(text) is str else text,
    )
    made.filters |= {
        "bytes": _bytes,
        "cause": _cause,
        "duration": durations.write,
        "facts": _facts,
        "href": quote,
        "id": id,
        "moment": _moment,
        "number": shown.number,
        "start": shown.start,
        "value": shown.value,
        "which": _which,
    }
    made.globals |= {
        "State": State,
        "numbered": figures.NUMBERED,
        "roc_size": figures.ROC_SIZE,
    }
    return made


def metrics(run: Run) -> list[Metric]:
    """Return the values of all Metrics artifacts, as each task or round listed them."""
    found = []
    for row in run.rows:
        mine = [artifact for artifact in row.artifacts if artifact.type == "system.Metrics"]
        for artifact in mine:
            before = f"{artifact.name}: " if len(mine) > 1 else ""
            found += [
                Metric(row.name, before + name, _known(artifact, name, value))
                for name, value in artifact.metadata.items()
                if _is_metric(value)
            ]
    return found


def _by_row(listed: list[Metric]) -> dict[str, dict[str, Any]]:
    """Return the metrics' values by name, by row."""
    rows: dict[str, dict[str, Any]] = {}
    for metric in listed:
        rows.setdefault(metric.task, {})[metric.name] = metric.value
    return rows


def _known(artifact: Artifact, name: str, value: Any) -> Any:
    """Return a value, or where only its first six decimals are known a text that says so."""
    return f"≈ {shown.number(value)}" if name in artifact.rounded else value


def _is_metric(value: Any) -> bool:
    return isinstance(value, int | float | str)


def _all(run: Run) -> list[tuple[Task, Artifact]]:
    return [(row, artifact) for row in run.rows for artifact in row.artifacts]


def _plots(run: Run) -> tuple[list[Plot], set[tuple[int, str]]]:
    """Return the pictures, and which metadata they show: an artifact's `id` and the key."""
    plots: list[Plot] = []
    drawn: set[tuple[int, str]] = set()
    curves: list[figures.Curve] = []
    for row, artifact in _all(run):
        title = f"{row.name} · {artifact.name}"
        if matrix := figures.confusion(title, artifact.metadata):
            plots.append(Plot(matrix))
            drawn.add((id(artifact), "confusionMatrix"))
        if curve := figures.roc(title, artifact.metadata):
            curves.append(curve)
            drawn.add((id(artifact), "confidenceMetrics"))
    # The first curves stand beside the first matrix.
    several = [
        Plot(curves=tuple(curves[at : at + _CURVES])) for at in range(0, len(curves), _CURVES)
    ]
    return plots[:1] + several[:1] + plots[1:] + several[1:], drawn


def _documents(run: Run, folder: Path) -> tuple[list[Part], list[Document]]:
    """Return the documents to show, Markdown first, and those that are too large for it."""
    # No HTML inside Markdown: the text comes from a task, the report is a page of ours.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    outputs: dict[tuple[str, str, str], Part] = {}
    linked = []
    left = ALL_EMBEDDED_BYTES
    for task in run.tasks:
        for row in task.rounds or [task]:
            for artifact in row.artifacts:
                if artifact.type not in ("system.HTML", "system.Markdown") or not artifact.path:
                    continue
                path = (folder / artifact.path).resolve()
                if not path.is_relative_to(folder.resolve()) or not path.is_file():
                    continue
                size = path.stat().st_size
                if size > min(EMBEDDED_BYTES, left):
                    linked.append(Document(row, artifact, ""))
                    continue
                left -= size
                text: str | Markup = path.read_text(encoding="utf-8", errors="replace")
                if artifact.type == "system.Markdown":
                    text = Markup(markdown.render(text))  # noqa: S704
                part = outputs.setdefault((artifact.type, task.name, artifact.name), Part(task, []))
                part.documents.append(Document(row, artifact, text))
    return [outputs[key] for key in sorted(outputs, key=lambda key: key[0], reverse=True)], linked


def _metadata(artifact: Artifact, drawn: set[tuple[int, str]]) -> dict[str, Any]:
    """Return the metadata without what is drawn, and without what is a metric."""
    return {
        key: _known(artifact, key, value)
        for key, value in artifact.metadata.items()
        if (id(artifact), key) not in drawn
        and not (artifact.type == "system.Metrics" and _is_metric(value))
    }


def _facts(metadata: dict[str, Any]) -> str:
    """Return the few short values of an artifact's metadata, for one line."""
    short = [
        f"{key} {shown.value(value)}"
        for key, value in metadata.items()
        if not isinstance(value, dict | list) and len(shown.value(value)) <= 24
    ]
    return " · ".join(short[:3])


def _bar(run: Run, task: Task) -> tuple[float, float] | None:
    """Return where a task's bar starts and how long it is, in per cent of the run's time."""
    if not (run.seconds and run.started and task.started and task.seconds is not None):
        return None
    start = (task.started - run.started).total_seconds() / run.seconds * 100
    return round(max(start, 0), 2), round(min(task.seconds / run.seconds * 100, 100), 2)


def _which(row: Task) -> str:
    """Return which round a row is: `[0]`, in loops inside loops `[0][3]`."""
    return "".join(match[0] for match in ROUND.finditer(row.name)) or row.name


def _cause(error: str) -> str:
    """Return the last line of a failed task's output, and no more of it than is read at once."""
    line = error.strip().splitlines()[-1]
    return line if len(line) <= _CAUSE else f"{line[:_CAUSE]}…"


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
