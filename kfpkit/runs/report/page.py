"""The report on a run: one HTML file that needs nothing else, made from the run's description."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from kfpkit.core import durations, process
from kfpkit.kfp.run import FILE as DESCRIPTION
from kfpkit.kfp.run import ROUND, Artifact, Phase, Run, State, Task
from kfpkit.runs import shown
from kfpkit.runs.report import figures, timeline

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

#: How many rounds of a loop are in the open at once.
_PAGE = 50

#: The ID of a run in its description, which begins with it, and where it ends at the latest.
_ID = re.compile(r'"id": "([^"]*)"')
_HEAD = 500

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
class Origin:
    """An earlier run whose outputs were taken from the cache.

    Attributes:
        run: Its ID.
        rows: What was taken.
        link: Where a web page shows it; empty where there is none.
        report: Its report, relative to this one's folder; empty where there is none.
        command: What writes its report.
    """

    run: str
    rows: list[Task]
    link: str
    report: str
    command: str


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
    return (
        environment()
        .get_template("report.html.j2")
        .render(
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
            time=timeline.timeline(run),
            helps=_helps(run),
            origins=_origins(run, folder),
            plots=plots,
            metadata={id(a): _metadata(a, drawn) for _, a in _all(run)},
            parts=parts,
            linked=linked,
            short=_SHORT,
            long=_LONG,
            open=_OPEN,
            page=_PAGE,
        )
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
        "slowest": timeline.slowest,
        "spent": timeline.spent,
        "split": timeline.split,
        "which": _which,
    }
    made.globals |= {
        "Phase": Phase,
        "State": State,
        "numbered": figures.NUMBERED,
        "roc_size": figures.ROC_SIZE,
        "time_width": timeline.WIDTH,
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


def _helps(run: Run) -> list[tuple[bool, str]]:
    """Return the parts of the explanation, commands that follow each other as one: whether, text.

    Its sentence is left out where the first that failed says the same.
    """
    sentence, *lines = run.explanation.splitlines() or [""]
    first = run.first_failed
    error = (first.error if first else run.error).strip()
    said = error and (sentence in error or error.splitlines()[-1] in sentence)
    parts: list[tuple[bool, str]] = []
    for line in lines if said else [sentence, *lines]:
        command = line.startswith("    ")
        if parts and command and parts[-1][0]:
            parts[-1] = (True, f"{parts[-1][1]}\n{line.strip()}")
        elif line:
            parts.append((command, line.strip()))
    return parts


def _origins(run: Run, folder: Path) -> list[Origin]:
    """Return the runs whose outputs this one took from the cache, and where they are found."""
    rows: dict[str, list[Task]] = {}
    for row in run.rows:
        if row.cached and row.cached_from:
            rows.setdefault(row.cached_from, []).append(row)
    reports = _reports(folder, set(rows)) if rows else {}
    return [
        Origin(
            other,
            mine,
            run.link.replace(run.id, other) if run.id in run.link else "",
            reports.get(other, ""),
            process.line(["kfpkit", "report", other, f"--target={run.target}"]),
        )
        for other, mine in rows.items()
    ]


def _reports(folder: Path, wanted: set[str]) -> dict[str, str]:
    """Return the newest report beside a run's folder on each run, as a relative path, by ID."""
    found = {}
    for file in sorted(folder.resolve().parent.glob(f"*/{DESCRIPTION}")):
        if (file.parent / FILE).is_file() and file.parent != folder.resolve():
            with file.open(encoding="utf-8", errors="replace") as text:
                named = _ID.search(text.read(_HEAD))
            if named and named[1] in wanted:
                found[named[1]] = f"../{file.parent.name}/{FILE}"
    return found


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
