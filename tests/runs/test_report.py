from __future__ import annotations

import re
import time
from datetime import timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from kfpkit.runs import report
from kfpkit.runs.run import Artifact, Parameter, Run, State, Task

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror=alert(1)>'\"&{{7*7}}"


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_report_is_one_file_without_scripts_or_addresses(run: Run, folder: Path) -> None:
    path = report.write(run, folder)
    page = Page(path.read_text())
    assert path == folder / "report.html"
    assert not page.all("script")
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", path.read_text())


def test_the_report_shows_what_the_run_was(run: Run, folder: Path) -> None:
    text = Page(report.render(run, folder)).text
    for shown in (
        "demo",
        "1 min 40 s",
        "3 of 7 succeeded",
        "sha256:0123456789ab",
        "Task check failed",
        "ValueError: it is too low",
        "after train, data",
        "0.9855",
        "AUC 0.9375",
        "68 of 69 right",
        "12.3 kB",
        "columns",
        "a, b",
    ):
        assert shown in text, shown
    for state in ("succeeded", "failed", "not run", "skipped", "cancelled"):
        assert state in text


def test_links_are_relative_and_quoted(run: Run, folder: Path) -> None:
    links = {link.get("href") for link in Page(report.render(run, folder)).all("a")}
    assert links == {"outputs/table%201.csv", "outputs/page", "outputs/card", "run.log", "run.json"}


def test_a_parameter_that_differs_is_marked(run: Run, folder: Path) -> None:
    run.parameters = [Parameter("seed", "NUMBER_INTEGER", 42, 42)]
    assert "changed" not in Page(report.render(run, folder)).text
    run.parameters = [Parameter("seed", "NUMBER_INTEGER", 7, 42)]
    assert "changed" in Page(report.render(run, folder)).text


def test_documents_are_embedded_in_a_sandbox(run: Run, folder: Path) -> None:
    page = Page(report.render(run, folder))
    (frame,) = page.all("iframe")
    assert frame["sandbox"] is None  # present and empty: nothing is allowed
    assert frame["srcdoc"] == "<!doctype html><h1>Inner page</h1>"
    assert "Card" in page.text
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy


def test_a_document_that_is_large_missing_or_elsewhere_is_linked_only(
    run: Run, folder: Path
) -> None:
    (folder / "outputs/page").write_bytes(b"x" * (report.EMBEDDED_BYTES + 1))
    (folder / "outputs/card").unlink()
    outside = folder.parent / "secret"
    outside.write_text("secret text")
    run.tasks[0].artifacts.append(Artifact("out", "system.Markdown", "/s", "../secret"))
    html = report.render(run, folder)
    assert not Page(html).all("iframe")
    assert "secret text" not in html


def test_hostile_text_stays_text_wherever_it_stands(run: Run, folder: Path) -> None:
    (folder / "outputs/page").write_text(HOSTILE)
    (folder / "outputs/card").write_text(HOSTILE + "\n\n[x](javascript:alert(1))\n")
    run.id = run.pipeline = run.pipeline_version = run.target = run.description = HOSTILE
    run.log = "javascript:alert(1)"
    run.parameters = [Parameter(HOSTILE, "STRING", HOSTILE, HOSTILE + "x", HOSTILE)]
    names = {task.name: f"{task.name}{HOSTILE}" for task in run.tasks}
    for task in run.tasks:
        task.name = names[task.name]
        task.depends_on = [names[name] for name in task.depends_on]
        task.error = HOSTILE if task.error else ""
        task.artifacts = [
            Artifact(
                a.name + HOSTILE,
                a.type,
                HOSTILE,
                a.path or "javascript:alert(1)",
                {**a.metadata, HOSTILE: HOSTILE},
            )
            for a in task.artifacts
        ]
        for artifact in task.artifacts:
            for label in artifact.metadata.get("confusionMatrix", {}).get("annotationSpecs", []):
                label["displayName"] = HOSTILE
    html = report.render(run, folder)
    page = Page(html)
    assert not page.all("script")
    assert not page.all("img")
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
    assert not [
        link for link in page.all("a") if (link.get("href") or "").startswith("javascript:")
    ]
    assert "{{7*7}}" in html
    assert len(page.all("style")) == 1


def test_a_run_without_metrics_or_pictures_has_no_empty_sections(run: Run, folder: Path) -> None:
    run.tasks = [Task("only", "only", State.SUCCEEDED)]
    run.parameters = []
    run.state = State.SUCCEEDED
    page = Page(report.render(run, folder))
    assert {attributes["id"] for attributes in page.all("h2")} == {"graph", "tasks"}


def test_a_run_without_tasks_says_so(run: Run, folder: Path) -> None:
    run.tasks = []
    run.error = "RuntimeError: nothing started"
    text = Page(report.render(run, folder)).text
    assert "The run has no tasks" in text
    assert "RuntimeError: nothing started" in text


def test_a_run_that_has_not_started_is_shown(run: Run, folder: Path) -> None:
    run.state = State.PENDING
    run.started = run.finished = None
    for task in run.tasks:
        task.state, task.started, task.finished = State.PENDING, None, None
    assert "0 of 7 succeeded" in Page(report.render(run, folder)).text


def test_a_failed_task_without_output_says_so(run: Run, folder: Path) -> None:
    run.failed[0].error = ""
    assert "It printed nothing" in Page(report.render(run, folder)).text


def test_hundreds_of_tasks_are_drawn_in_time(run: Run, folder: Path) -> None:
    begin = run.created
    run.tasks = [
        Task(
            f"task-{n}",
            "work",
            State.SUCCEEDED,
            begin,
            begin + timedelta(seconds=n),
            depends_on=[f"task-{n - 20}", f"task-{n % 20}"] if n >= 20 else [],
        )
        for n in range(400)
    ]
    began = time.monotonic()
    page = Page(report.render(run, folder))
    assert time.monotonic() - began < 10
    assert "400 of 400 succeeded" in page.text
    drawn = [g for g in page.all("g") if (g.get("class") or "").startswith("node")]
    assert len(drawn) == 800  # once for a wide window and once for a narrow one


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98550724, "0.9855"),
        (69.0, "69"),
        (1234567, "1,234,567"),
        (1e-9, "1e-09"),
        (0, "0"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (True, "True"),
        ("lbfgs", "lbfgs"),
    ],
)
def test_metrics_read_well(value: object, text: str) -> None:
    assert report.number(value) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, ""), (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (21_900, "21.9 kB"), (2e9, "2 GB")],
)
def test_sizes_read_well(size: int | None, text: str) -> None:
    assert report._bytes(size) == text


def test_a_run_on_a_cluster_links_to_its_page_and_tells_the_cache_and_what_stayed_there(
    run: Run, folder: Path
) -> None:
    run.link = "https://kfp.example/#/runs/details/1"
    run.tasks[0].cached = True
    run.tasks[1].artifacts = [Artifact("model", "system.Model", "s3://b/model", size=100_000_000)]
    page = Page(report.render(run, folder))
    assert run.link in [link["href"] for link in page.all("a")]
    assert page.text.count("from the cache") == 1
    assert "100 MB at s3://b/model" in page.text
