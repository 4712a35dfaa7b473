"""The pages of the web UI, with runs of the sample on them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import requests

if TYPE_CHECKING:
    from tests.support.web_ui import Runs, Ui

pytestmark = [pytest.mark.kfp, pytest.mark.browser, pytest.mark.timeout(300)]

TASKS = ("generate-data", "transform", "train", "evaluate", "check-accuracy")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")

#: What the graph paints behind the mark of a task that succeeded, and of one that failed.
GREEN, RED = ".bg-mui-green-50", ".bg-mui-red-50"


def artifact(web: Ui, run: str, name: str) -> None:
    """Open the pictures of an artifact of a run."""
    web.open(f"/runs/details/{run}")
    web.choose(name)
    web.tab("Visualization")


def matrix(web: Ui) -> list[list[int]]:
    """Return the confusion matrix that the page shows, row by row as it is drawn."""
    web.text("True label", exact=False)
    rows = web.page.locator("table:has-text('True label') tr").all()
    cells = [re.findall(r"\d+", " ".join(row.locator("td").all_inner_texts())) for row in rows]
    return [[int(cell) for cell in row] for row in cells if row]


def test_the_pipeline_is_listed_with_its_graph(web: Ui, runs: Runs) -> None:
    page = web.open("/pipelines")
    page.locator("#tableFilterBox").fill(runs.name)
    page.locator(f"a[href*='{runs.pipeline}']").first.click()
    for task in TASKS:
        web.node(task).wait_for()
    assert runs.pipeline in page.url


def test_the_graph_marks_every_task_of_a_run(web: Ui, runs: Runs) -> None:
    web.open(f"/runs/details/{runs.first}")
    for task in TASKS:
        web.node(task).locator(GREEN).wait_for()


def test_the_graph_marks_the_task_that_failed_and_its_log_says_why(web: Ui, runs: Runs) -> None:
    web.open(f"/runs/details/{runs.failed}")
    web.node("check-accuracy").locator(RED).wait_for()
    web.node("evaluate").locator(GREEN).wait_for()
    web.choose("check-accuracy")
    web.tab("Logs")
    web.text("min_accuracy", exact=False)


def test_the_confusion_matrix_is_that_of_the_run(web: Ui, runs: Runs) -> None:
    artifact(web, runs.first, "metrics")
    web.text("log_loss")
    (accuracy,) = re.findall(r"(?<!-)\baccuracy\s+([\d.]+)", web.page.inner_text("body"))
    artifact(web, runs.first, "classification_metrics")
    for name in SPECIES:
        web.text(name)
    cells = matrix(web)
    total = sum(map(sum, cells))
    right = sum(cells[len(cells) - 1 - n][n] for n in range(len(cells)))  # drawn upwards
    assert total > 60
    assert right / total == pytest.approx(float(accuracy), abs=1e-3)


def test_the_roc_curve_is_drawn(web: Ui, runs: Runs) -> None:
    artifact(web, runs.first, "classification_metrics")
    web.text("ROC Curve: classification_metrics", exact=False)
    curve = web.page.locator("path.recharts-curve").first
    curve.wait_for()
    assert curve.get_attribute("d").count("L") + curve.get_attribute("d").count("C") >= 3


def test_the_html_report_is_shown_and_may_not_touch_the_page_around_it(web: Ui, runs: Runs) -> None:
    artifact(web, runs.first, "report")
    frame = web.page.locator("iframe").first
    frame.wait_for()
    assert frame.get_attribute("sandbox") == "allow-scripts"
    inner = web.page.frame_locator("iframe").first
    inner.get_by_role("heading").first.wait_for()
    pictures = inner.locator("img")
    assert pictures.count()
    assert all(pictures.nth(n).evaluate("e => e.naturalWidth") for n in range(pictures.count()))


def test_the_model_card_is_shown(web: Ui, runs: Runs) -> None:
    artifact(web, runs.first, "model_card")
    web.text("Static Markdown")
    web.page.get_by_role("heading", name="Model card", exact=False).first.wait_for()


def test_an_artifact_can_be_downloaded(web: Ui, runs: Runs) -> None:
    web.open(f"/runs/details/{runs.first}")
    web.choose("report")
    link = web.page.locator("a[href^='artifacts/minio']").first
    link.wait_for()
    answer = requests.get(f"{web.address}/{link.get_attribute('href')}", timeout=30)
    assert answer.ok
    assert b"<html" in answer.content


@pytest.mark.parametrize("task", TASKS)
def test_each_task_has_a_log(web: Ui, runs: Runs, task: str) -> None:
    web.open(f"/runs/details/{runs.first}")
    web.choose(task)
    web.tab("Logs")
    window = web.page.get_by_test_id("logs-view-window")
    window.wait_for()
    assert window.inner_text().strip()


def test_two_runs_are_compared(web: Ui, runs: Runs) -> None:
    web.open(f"/compare?runlist={runs.first},{runs.second}")
    for name in ("first", "second"):
        web.text(f"web UI: {name}")
    assert web.page.get_by_text("accuracy").count()
    web.tab("ROC Curve")
    web.page.locator("path.recharts-curve").nth(1).wait_for()


def test_a_recurring_run_is_shown(web: Ui, recurring: str) -> None:
    web.open(f"/recurringrun/details/{recurring}")
    web.text("web UI: every day")


@pytest.mark.parametrize(
    "path", ["/pipelines", "/experiments", "/runs", "/recurringruns", "/artifacts", "/executions"]
)
@pytest.mark.usefixtures("recurring")
def test_every_list_loads(web: Ui, path: str) -> None:
    web.open(path)
    web.page.locator("[data-testid=table-row], .tableRow, [role=row]").first.wait_for()
