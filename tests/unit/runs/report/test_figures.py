from __future__ import annotations

from itertools import combinations
from math import inf, nan

import pytest

from kfpkit.kfp.run import Task
from kfpkit.runs.report import figures

CHAIN_WITH_A_LONG_EDGE = [
    Task("a", "a"),
    Task("b", "b", depends_on=["a"]),
    Task("c", "c", depends_on=["b", "a"]),
]
FAN = [
    Task("start", "x"),
    *[Task(f"middle-{n}", "x", depends_on=["start"]) for n in range(40)],
    Task("end", "x", depends_on=[f"middle-{n}" for n in range(40)]),
]


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("tasks", [CHAIN_WITH_A_LONG_EDGE, FAN, FAN[:1], []])
def test_nodes_lie_in_the_picture_and_apart(tasks: list[Task], upright: bool) -> None:
    graph = figures.graph(tasks, upright=upright)
    assert sorted(n.task.name for n in graph.nodes) == sorted(task.name for task in tasks)
    assert len(graph.edges) == sum(len(task.depends_on) for task in tasks)
    for node in graph.nodes:
        assert 0 <= node.x <= graph.width - figures.NODE_WIDTH
        assert 0 <= node.y <= graph.height - figures.NODE_HEIGHT
    for one, other in combinations(graph.nodes, 2):
        apart = (
            abs(one.x - other.x) >= figures.NODE_WIDTH
            or abs(one.y - other.y) >= figures.NODE_HEIGHT
        )
        assert apart, f"{one.task.name} overlaps {other.task.name}"


def test_a_task_stands_after_those_it_depends_on() -> None:
    placed = {n.task.name: n for n in figures.graph(CHAIN_WITH_A_LONG_EDGE, upright=False).nodes}
    assert placed["a"].x < placed["b"].x < placed["c"].x


def test_a_long_edge_passes_beside_the_task_between() -> None:
    graph = figures.graph(CHAIN_WITH_A_LONG_EDGE, upright=False)
    between = next(node for node in graph.nodes if node.task.name == "b")
    (straight,) = [edge for edge in graph.edges if "L" in edge]
    y = float(straight.split("L")[1].split("C")[0].split(",")[1])
    assert not between.y <= y <= between.y + figures.NODE_HEIGHT


def test_a_confusion_matrix_is_read() -> None:
    matrix = figures.confusion(
        "t",
        {
            "confusionMatrix": {
                "annotationSpecs": [{"displayName": "a"}, {"displayName": "b"}],
                "rows": [{"row": [3, 1]}, {"row": [0, 0]}],
            }
        },
    )
    assert matrix is not None
    assert matrix.labels == ["a", "b"]
    assert [[cell.share for cell in row] for row in matrix.rows] == [[0.75, 0.25], [0, 0]]
    assert (matrix.right, matrix.total) == (3, 4)


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({}, id="none"),
        pytest.param({"confusionMatrix": None}, id="null"),
        pytest.param({"confusionMatrix": {"rows": []}}, id="no labels"),
        pytest.param(
            {
                "confusionMatrix": {
                    "annotationSpecs": [{"displayName": "a"}, {"displayName": "b"}],
                    "rows": [{"row": [1, 2]}],
                }
            },
            id="not square",
        ),
    ],
)
def test_what_is_no_confusion_matrix_is_left_out(metadata: dict[str, object]) -> None:
    assert figures.confusion("t", metadata) is None


def points(*pairs: tuple[float, float]) -> dict[str, object]:
    return {"confidenceMetrics": [{"falsePositiveRate": x, "recall": y} for x, y in pairs]}


def test_a_roc_curve_has_its_area() -> None:
    perfect = figures.roc("t", points((0, 0), (0, 1), (1, 1)))
    chance = figures.roc("t", points((0.5, 0.5)))
    assert perfect is not None
    assert perfect.auc == 1
    assert perfect.path == "M0.0,300.0L0.0,0.0L300.0,0.0"
    assert chance is not None
    assert chance.auc == 0.5


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({}, id="none"),
        pytest.param({"confidenceMetrics": []}, id="empty"),
        pytest.param({"confidenceMetrics": [3]}, id="no points"),
        pytest.param(points((0, 2)), id="outside"),
        pytest.param(points((0, float("nan"))), id="NaN"),
    ],
)
def test_what_is_no_roc_curve_is_left_out(metadata: dict[str, object]) -> None:
    assert figures.roc("t", metadata) is None


def matrix(*rows: list[float]) -> figures.Confusion:
    labels = [{"displayName": f"l{n}"} for n in range(len(rows))]
    found = figures.confusion(
        "t", {"confusionMatrix": {"annotationSpecs": labels, "rows": [{"row": r} for r in rows]}}
    )
    assert found is not None
    return found


def test_cells_that_are_no_number_leave_the_others_right() -> None:
    found = matrix([3, nan], [inf, 1])
    assert [[cell.share for cell in row] for row in found.rows] == [[1, None], [None, 1]]
    assert (found.right, found.total, found.lost) == (4, 4, 2)


def test_shares_stay_between_0_and_1() -> None:
    found = matrix([3, -1], [0, 0])
    assert [[cell.share for cell in row] for row in found.rows] == [[1, 0], [0, 0]]


def test_the_picture_of_many_labels_stays_small() -> None:
    found = matrix(*[[float((x * y) % 7) for x in range(100)] for y in range(100)])
    shades = found.shades()
    assert len(shades) <= figures.SHADES
    assert max(shade for shade, _ in shades) == 1
    assert sum(len(path) for _, path in shades) < 200_000
    assert sum(path.count("M") for _, path in shades) == sum(
        bool(cell.share) for row in found.rows for cell in row
    )


def test_a_curve_of_many_points_is_drawn_through_some_and_measured_by_all() -> None:
    count = 30_000
    found = figures.roc("t", points(*[(n / count, (n / count) ** 0.5) for n in range(count)]))
    assert found is not None
    assert found.auc == pytest.approx(2 / 3, abs=1e-6)
    assert found.points == count + 1
    assert found.drawn == found.path.count("L") + 1 <= figures.ROC_POINTS + 1
    assert found.path.startswith("M0.0,300.0")
    assert found.path.endswith("L300.0,0.0")


def test_a_threshold_without_end_does_not_hide_the_curve() -> None:
    first = {"confidenceThreshold": inf, "recall": 0.0, "falsePositiveRate": 0.0}
    assert figures.roc("t", {"confidenceMetrics": [first]}) is not None
