"""The geometry of a report's pictures: graph, confusion matrix, ROC curves.

Only numbers and texts leave this module; the template draws them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kfpkit.kfp.run import Task

# Pixels.
NODE_WIDTH = 180.0
NODE_HEIGHT = 74.0
GAP_ALONG = 40.0
GAP_ACROSS = 20.0
#: Room that a long edge takes where it passes a level.
PASS = 10.0
MARGIN = 4.0

ROC_SIZE = 300.0

#: A ROC curve of more points is drawn through some of them only.
ROC_POINTS = 1000

#: A confusion matrix of more labels is drawn in shades alone, without a number in each cell.
NUMBERED = 20

#: How many shades such a picture has.
SHADES = 20


@dataclass(frozen=True)
class Node:
    """A task's place in the graph's picture: its upper left corner."""

    task: Task
    x: float
    y: float


@dataclass(frozen=True)
class Graph:
    """The picture of a graph: its size, its nodes, and the edges as SVG path data."""

    width: float
    height: float
    nodes: list[Node]
    edges: list[str]


@dataclass
class _Spot:
    """A task on its level, or the place where a long edge passes a level."""

    task: Task | None
    above: list[_Spot] = field(default_factory=list)
    below: list[_Spot] = field(default_factory=list)
    order: float = 0
    middle: float = 0

    def breadth(self, *, upright: bool) -> float:
        if self.task is None:
            return PASS
        return NODE_WIDTH if upright else NODE_HEIGHT


def graph(tasks: Sequence[Task], *, upright: bool) -> Graph:
    """Lay the tasks out level by level (after Sugiyama): each stands after all it depends on.

    Args:
        tasks: Each after those it depends on.
        upright: From top to bottom, for a narrow window, instead of from left to right.
    """
    levels, edges = _levels(tasks)
    _order(levels)
    _place(levels, upright=upright)
    least = min((s.middle - s.breadth(upright=upright) / 2 for lv in levels for s in lv), default=0)
    most = max((s.middle + s.breadth(upright=upright) / 2 for lv in levels for s in lv), default=0)
    thick = NODE_HEIGHT if upright else NODE_WIDTH
    start = {
        id(spot): MARGIN + number * (thick + GAP_ALONG)
        for number, level in enumerate(levels)
        for spot in level
    }

    def point(along: float, across: float) -> tuple[float, float]:
        across += MARGIN - least
        return (across, along) if upright else (along, across)

    nodes = []
    for level in levels:
        for spot in level:
            if spot.task:
                corner = spot.middle - spot.breadth(upright=upright) / 2
                x, y = point(start[id(spot)], corner)
                nodes.append(Node(spot.task, round(x, 1), round(y, 1)))
    paths = []
    for chain in edges:
        first = point(start[id(chain[0])] + thick, chain[0].middle)
        path = [f"M{_xy(first)}"]
        for left, right in pairwise(chain):
            begin, end = start[id(left)] + thick, start[id(right)]
            half = (begin + end) / 2
            path.append(
                f"C{_xy(point(half, left.middle))} {_xy(point(half, right.middle))} "
                f"{_xy(point(end, right.middle))}"
            )
            if right.task is None:
                path.append(f"L{_xy(point(end + thick, right.middle))}")
        paths.append("".join(path))
    along = 2 * MARGIN + len(levels) * thick + max(len(levels) - 1, 0) * GAP_ALONG
    across = 2 * MARGIN + most - least
    width, height = (across, along) if upright else (along, across)
    return Graph(round(width, 1), round(height, 1), nodes, paths)


def _levels(tasks: Sequence[Task]) -> tuple[list[list[_Spot]], list[list[_Spot]]]:
    """Return the levels and, for each edge, the spots it runs through."""
    number: dict[str, int] = {}
    for task in tasks:
        number[task.name] = 1 + max((number[name] for name in task.depends_on), default=-1)
    levels: list[list[_Spot]] = [[] for _ in range(1 + max(number.values(), default=-1))]
    spots = {task.name: _Spot(task) for task in tasks}
    for task in tasks:
        levels[number[task.name]].append(spots[task.name])
    chains = []
    for task in tasks:
        for name in task.depends_on:
            passes = [_Spot(None) for _ in range(number[name] + 1, number[task.name])]
            for spot, level in zip(passes, levels[number[name] + 1 :], strict=False):
                level.append(spot)
            chain = [spots[name], *passes, spots[task.name]]
            for left, right in pairwise(chain):
                left.below.append(right)
                right.above.append(left)
            chains.append(chain)
    return levels, chains


def _order(levels: list[list[_Spot]]) -> None:
    """Order each level by the mean place of its neighbours, down and up, to cross fewer edges."""
    for level in levels:
        for place, spot in enumerate(level):
            spot.order = place
    for down in (True, False, True):
        for level in levels if down else reversed(levels):
            mean = {}
            for spot in level:
                near = spot.above if down else spot.below
                mean[id(spot)] = (
                    sum(s.order for s in near) / len(near) if near else spot.order,
                    # Of two with the same neighbours the passing edge goes outside.
                    spot.task is None,
                )
            level.sort(key=lambda spot: mean[id(spot)])
            for place, spot in enumerate(level):
                spot.order = place


def _place(levels: list[list[_Spot]], *, upright: bool) -> None:
    """Give each spot its place across, near its neighbours and clear of those beside it."""
    for level in levels:
        _spread(level, [0.0] * len(level), upright=upright)
    for down in (True, False, True):
        for level in levels if down else reversed(levels):
            wanted = []
            for spot in level:
                near = spot.above if down else spot.below
                near = near or spot.below or spot.above
                wanted.append(sum(s.middle for s in near) / len(near) if near else spot.middle)
            _spread(level, wanted, upright=upright)


def _spread(level: list[_Spot], wanted: list[float], *, upright: bool) -> None:
    """Place a level as near to what is wanted as its order and the gaps allow (least squares).

    That is isotonic regression on the places with all breadths taken out, solved by pooling.
    """
    offsets = [0.0]
    for left, right in pairwise(level):
        both = left.breadth(upright=upright) + right.breadth(upright=upright)
        offsets.append(offsets[-1] + both / 2 + GAP_ACROSS)
    blocks: list[tuple[float, int]] = []  # mean, count
    for place, offset in zip(wanted, offsets, strict=False):
        mean, count = place - offset, 1
        while blocks and blocks[-1][0] > mean:
            before, size = blocks.pop()
            mean = (mean * count + before * size) / (count + size)
            count += size
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    for spot, mean, offset in zip(level, means, offsets, strict=False):
        spot.middle = mean + offset


def _xy(point: tuple[float, float]) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


@dataclass(frozen=True)
class Cell:
    """A cell of a confusion matrix; `share` is its part of the row, None where it is no number."""

    count: float
    share: float | None


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix: a row for each true label, a column for each predicted one.

    Attributes:
        right: Sum of the diagonal; cells that are NaN or infinite are left out, as in `total`.
        lost: How many cells are NaN or infinite.
    """

    title: str
    labels: list[str]
    rows: list[list[Cell]]
    right: float
    total: float
    lost: int

    def shades(self) -> list[tuple[float, str]]:
        """Return the cells as squares of side 1, as path data, by shade; 1 is the largest share."""
        largest = max(cell.share or 0 for row in self.rows for cell in row)
        paths: dict[float, list[str]] = {}
        for y, row in enumerate(self.rows):
            for x, cell in enumerate(row):
                if cell.share:
                    shade = math.ceil(cell.share / largest * SHADES) / SHADES
                    paths.setdefault(shade, []).append(f"M{x} {y}h1v1h-1z")
        return [(shade, "".join(paths[shade])) for shade in sorted(paths)]


def confusion(title: str, metadata: Mapping[str, Any]) -> Confusion | None:
    """Return the matrix that a ClassificationMetrics artifact holds; None if it holds none."""
    matrix = metadata.get("confusionMatrix")
    try:
        labels = [str(spec["displayName"]) for spec in matrix["annotationSpecs"]]  # type: ignore[index]
        counts = [[float(value) for value in row["row"]] for row in matrix["rows"]]  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        return None
    if not labels or [len(row) for row in counts] != [len(labels)] * len(labels):
        return None
    rows = [_cells(row) for row in counts]
    finite = [value for row in counts for value in row if math.isfinite(value)]
    right = sum(counts[i][i] for i in range(len(labels)) if math.isfinite(counts[i][i]))
    lost = len(labels) ** 2 - len(finite)
    return Confusion(title, labels, rows, right, sum(finite), lost)


def _cells(row: list[float]) -> list[Cell]:
    """Return the cells of a row; a count below zero has no share."""
    total = sum(value for value in row if math.isfinite(value) and value > 0)
    return [
        Cell(value, max(value, 0) / total if total else 0.0)
        if math.isfinite(value)
        else Cell(value, None)
        for value in row
    ]


@dataclass(frozen=True)
class Curve:
    """A ROC curve: SVG path data in a square of `ROC_SIZE`, and the area under it.

    Attributes:
        auc: Of all points, the two ends among them.
        points: How many there are.
        drawn: How many of them the path goes through.
    """

    title: str
    path: str
    auc: float
    points: int
    drawn: int


def roc(title: str, metadata: Mapping[str, Any]) -> Curve | None:
    """Return the curve that a ClassificationMetrics artifact holds; None if it holds none."""
    try:
        points = [
            (float(point.get("falsePositiveRate", 0)), float(point.get("recall", 0)))
            for point in metadata["confidenceMetrics"]
        ]
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
    if not points or not all(0 <= value <= 1 for point in points for value in point):
        return None
    # The ends belong to every ROC curve, whether or not a threshold lists them.
    points = sorted({*points, (0.0, 0.0), (1.0, 1.0)})
    auc = math.fsum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(points))
    step = math.ceil(len(points) / ROC_POINTS)
    drawn = points[:-1:step] + points[-1:]
    shown = [_xy((x * ROC_SIZE, (1 - y) * ROC_SIZE)) for x, y in drawn]
    return Curve(title, "M" + "L".join(shown), auc, len(points), len(drawn))
