from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import time
from datetime import timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from kfpkit.kfp.run import Artifact, Parameter, Phase, Run, State, Task
from kfpkit.runs.report import page as report
from tests.support.workflows import at

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


def test_the_report_is_one_file_with_one_script_and_no_addresses(run: Run, folder: Path) -> None:
    path = report.write(run, folder)
    page = Page(path.read_text())
    assert path == folder / "report.html"
    assert page.all("script") == [{}]
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
        "0.98551",
        "AUC 0.9375",
        "68 of 69 right",
        "12.3 kB",
        "columns",
        '["a", "b"]',
    ):
        assert shown in text, shown
    for state in ("succeeded", "failed", "not run", "skipped", "cancelled"):
        assert state in text


def test_links_are_relative_and_quoted(run: Run, folder: Path) -> None:
    links = {link.get("href") or "" for link in Page(report.render(run, folder)).all("a")}
    assert {link for link in links if not link.startswith("#")} == {
        "outputs/table%201.csv",
        "outputs/page",
        "outputs/card",
        "run.log",
        "run.json",
    }


def test_a_parameter_that_differs_is_marked(run: Run, folder: Path) -> None:
    run.parameters = [Parameter("seed", "NUMBER_INTEGER", 42, 42)]
    assert "changed" not in Page(report.render(run, folder)).text
    run.parameters = [Parameter("seed", "NUMBER_INTEGER", 7, 42)]
    assert "changed" in Page(report.render(run, folder)).text


def test_documents_are_embedded_in_a_sandbox(run: Run, folder: Path) -> None:
    page = Page(report.render(run, folder))
    (frame,) = page.all("iframe")
    assert frame["sandbox"] == "allow-same-origin"  # the report may measure it: no script runs
    assert frame["srcdoc"] == "<!doctype html><h1>Inner page</h1>"
    assert "Card" in page.text
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert policy is not None
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    (script,) = re.findall("<script>(.*?)</script>", report.render(run, folder), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules["default-src"] == rules["form-action"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"


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
    assert page.all("script") == [{}]
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
    began = time.process_time()  # a busy machine is not the code
    page = Page(report.render(run, folder))
    assert time.process_time() - began < 10
    assert "400 of 400 succeeded" in page.text
    drawn = [g for g in page.all("g") if (g.get("class") or "").startswith("node")]
    assert len(drawn) == 800  # once for a wide window and once for a narrow one


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


def test_every_contents_link_leads_to_a_section_and_the_reason_comes_first(
    run: Run, folder: Path
) -> None:
    page = Page(report.render(run, folder))
    links = [link["href"] for link in page.all("a") if (link["href"] or "").startswith("#")]
    assert links == [f"#{heading['id']}" for heading in page.all("h2")]
    assert links[0] == "#reason"
    assert links[1:7] == ["#metrics", "#graph", "#tasks", "#time", "#evaluation", "#parameters"]


def test_values_that_differ_look_different(run: Run, folder: Path) -> None:
    run.parameters = [
        Parameter("amount", "NUMBER_DOUBLE", 1234567.75, 1234567.25),
        Parameter("mixed", "LIST", [1.0, 2], [1, 2]),
        Parameter("names", "LIST", ["a, b"], ["a", "b"]),
        Parameter("object", "STRUCT", {"a": "1"}, {"a": 1}),
        Parameter("text", "STRING", "true", ""),
        Parameter("lines", "STRING", "a\n\tb\x1b\u202e", "a  b"),
    ]
    values = re.findall('<code class="value">(.*?)</code>', report.render(run, folder))
    for one, other in (
        ("1234567.75", "1234567.25"),
        ("[1.0, 2]", "[1, 2]"),
        ("[&#34;a, b&#34;]", "[&#34;a&#34;, &#34;b&#34;]"),
        ("{&#34;a&#34;: &#34;1&#34;}", "{&#34;a&#34;: 1}"),
        ("&#34;true&#34;", "&#34;&#34;"),
        ("&#34;a\\n\\tb\\u001b\\u202e&#34;", "a  b"),
    ):
        assert values[values.index(one) + 1] == other


def test_a_metric_is_never_rounded(run: Run, folder: Path) -> None:
    run.tasks[2].artifacts = [
        Artifact("m", "system.Metrics", "", "", {"near": 0.99996, "one": 0.9855072463768116})
    ]
    page = report.render(run, folder)
    assert ">0.99996</dd>" in page
    # The short form says that it is one, and the whole stands below it.
    assert re.search(r">0\.98550…</dd><dd [^>]*>0\.9855072463768116</dd>", page)


def test_metrics_of_two_artifacts_of_one_task_are_told_apart(run: Run) -> None:
    run.tasks[2].artifacts = [
        Artifact(name, "system.Metrics", "", "", {"loss": 0.5}) for name in ("train", "test")
    ]
    assert [metric.name for metric in report.metrics(run)] == ["train: loss", "test: loss"]


def test_metadata_is_listed_where_no_picture_shows_it(run: Run, folder: Path) -> None:
    curve = [{"recall": 0.625, "falsePositiveRate": math.nan}]
    run.tasks[2].artifacts[1].metadata["confidenceMetrics"] = curve
    run.tasks[2].artifacts[0].metadata["by_class"] = {"Adelie": 0.375}
    text = Page(report.render(run, folder)).text
    assert "ROC curve" not in text
    assert '[{"recall": 0.625, "falsePositiveRate": NaN}]' in text
    assert '{"Adelie": 0.375}' in text


def looped(count: int, *, bad: tuple[int, ...] = ()) -> Task:
    rounds = [
        Task(
            f"for-loop-1[{n}]/work",
            "work",
            State.FAILED if n in bad else State.SUCCEEDED,
            inputs={"item": n},
            outputs={"square": n * n},
            artifacts=[Artifact("m", "system.Metrics", "", "", {"score": n / 7})],
            error=f"Traceback\nValueError: {n} is bad" if n in bad else "",
        )
        for n in range(count)
    ]
    state = State.FAILED if bad else State.SUCCEEDED
    return Task("for-loop-1/work", "work", state, rounds=rounds, display_name="Do the work")


def test_a_loop_is_one_node_and_a_row_a_round(run: Run, folder: Path) -> None:
    run.tasks = [looped(50, bad=(7, 9))]
    html = report.render(run, folder)
    page = Page(html)
    nodes = [g for g in page.all("g") if (g.get("class") or "").startswith("node")]
    assert len(nodes) == 2  # once for a wide window and once for a narrow one
    assert "Do the work" in page.text
    assert "50 rounds, 2 failed" in page.text
    assert "48 of 50 succeeded" in page.text
    assert "6.857142857142857" in page.text, "the metric of round 48"
    assert page.text.index("[7]\n") < page.text.index("[9]\n") < page.text.rindex("[8]\n")
    assert "2 rounds failed" in page.text
    assert page.text.index("ValueError: 7 is bad") < page.text.index("0.14285714285714285")


def test_many_failed_rounds_are_named_each_and_folded(run: Run, folder: Path) -> None:
    run.tasks = [looped(20, bad=tuple(range(20)))]
    html = report.render(run, folder)
    alert = html[html.index('role="alert"') : html.index("</section>")]
    for n in range(20):
        assert f"for-loop-1[{n}]/work" in alert
        assert f"ValueError: {n} is bad" in alert
    assert "14 more failed" in alert


def test_the_documents_of_rounds_are_one_section(run: Run, folder: Path) -> None:
    task = looped(3)
    for row in task.rounds:
        row.artifacts = [Artifact("page", "system.HTML", "/p", "outputs/page", {}, 40)]
    run.tasks = [task]
    page = Page(report.render(run, folder))
    assert len(page.all("iframe")) == 3
    assert [h["id"] for h in page.all("h2") if (h["id"] or "").startswith("document")] == [
        "document-1"
    ]


def test_documents_above_the_size_of_all_are_linked_and_said(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "ALL_EMBEDDED_BYTES", 40)
    page = Page(report.render(run, folder))
    assert len(page.all("iframe")) == 1
    assert "Too large to be shown here" in page.text
    assert "outputs/card" in [link["href"] for link in page.all("a")]


def test_a_large_text_is_folded_and_run_json_has_it(run: Run, folder: Path) -> None:
    run.parameters = [Parameter("text", "STRING", "x" * 1_000_000, "")]
    html = report.render(run, folder)
    assert len(html) < 100_000
    assert "1,000,000 characters" in html
    assert 'The first 1,000 characters; <a href="run.json">run.json</a> has them all' in html


def test_control_characters_and_half_characters_are_visible(run: Run, folder: Path) -> None:
    run.tasks[3].error = "\x1b[31mred\x00 \ud800"
    run.tasks[3].display_name = "bell\x07"
    text = Page(report.write(run, folder).read_text()).text
    assert "\\u001b[31mred\\u0000 \\ud800" in text
    assert "bell\\u0007" in text


def test_why_a_run_failed_is_said_even_where_nothing_says_it(run: Run, folder: Path) -> None:
    run.tasks = [Task("only", "only", State.SUCCEEDED)]
    assert "Nothing says why" in Page(report.render(run, folder)).text


def test_curves_in_one_plot_are_told_apart(run: Run, folder: Path) -> None:
    curve = {"confidenceMetrics": [{"recall": 0.5, "falsePositiveRate": 0.25}]}
    run.tasks[2].artifacts = [
        Artifact(f"c{n}", "system.ClassificationMetrics", "", "", curve) for n in range(9)
    ]
    page = Page(report.render(run, folder))
    lines = [path["class"] for path in page.all("path") if "curve " in (path.get("class") or "")]
    assert lines == [f"curve curve-{n}" for n in (1, 2, 3, 4, 1, 2, 3, 4, 1)]
    assert len([svg for svg in page.all("svg") if svg.get("class") == "plot"]) == 3


def test_a_number_of_which_only_six_decimals_are_known_says_so(run: Run, folder: Path) -> None:
    metrics = Artifact("m", "system.Metrics", "", metadata={"tiny": 0.0, "n": 3}, rounded=["tiny"])
    data = Artifact("d", "system.Dataset", "", metadata={"share": 0.333333}, rounded=["share"])
    run.tasks = [Task("t", "t", State.SUCCEEDED, artifacts=[metrics, data])]
    assert [one.value for one in report.metrics(run)] == ["≈ 0", 3]
    assert "≈ 0.333333" in report.render(run, folder)


def test_where_the_time_went_is_drawn_and_listed(run: Run, folder: Path) -> None:
    run.tasks[1].spend(Phase.DRIVER, at(20), at(21))
    run.tasks[1].spend(Phase.WORK, at(30), at(60))
    page = Page(report.render(run, folder))
    kinds = {path["class"] for path in page.all("path") if "kind" in (path.get("class") or "")}
    assert kinds == {"kind rest", "kind driver", "kind work", "kind bad"}
    for shown in ("its own work", "driver: its inputs, the cache", "work that failed"):
        assert shown in page.text
    cells = {cell["data-name"] for cell in page.all("td") if "data-name" in cell}
    assert cells == {"Driver", "Own work", "Duration"}, "of what nothing knows there is no column"


def test_without_times_there_is_no_timeline(run: Run, folder: Path) -> None:
    for task in run.tasks:
        task.started = task.finished = None
    assert 'id="time"' not in report.render(run, folder)


def cached(run: Run, *names: str, other: str) -> None:
    for task in run.tasks:
        if task.name in names:
            task.cached, task.cached_from = True, other


def test_an_earlier_run_that_made_outputs_is_named_with_what_it_made(
    run: Run, folder: Path
) -> None:
    cached(run, "data", "train", other="5f3a")
    run.target = "gke prod"
    run.tasks[2].input_artifacts = {"model": "train.model", "limits": "check.limits"}
    page = Page(report.render(run, folder))
    assert "made the outputs of data, train." in page.text
    assert "kfpkit report 5f3a '--target=gke prod'" in page.text
    assert "from train.model, made by run 5f3a" in page.text
    assert "made by" not in page.text.partition("limits")[2].partition("\n")[0]
    assert "2 of 7" in page.text


def test_an_earlier_run_is_linked_where_the_web_ui_or_a_report_shows_it(
    run: Run, folder: Path
) -> None:
    cached(run, "data", other="5f3a")
    run.link = f"http://ui/#/runs/details/{run.id}"
    for name, made in (("other", "5f3a"), ("näxt door", "77")):
        beside = folder.parent / name
        beside.mkdir()
        (beside / "report.html").touch()
        (beside / "run.json").write_text(json.dumps({"format": 2, "id": made}, indent=2))
    (folder.parent / "no report").mkdir()
    (folder.parent / "no report/run.json").write_text('{"id": "5f3a"}')
    links = {link["href"] for link in Page(report.render(run, folder)).all("a")}
    assert "http://ui/#/runs/details/5f3a" in links
    assert {link for link in links if (link or "").startswith("..")} == {"../other/report.html"}


def test_what_is_cached_of_a_run_that_is_not_known_has_no_link(run: Run, folder: Path) -> None:
    cached(run, "data", other="")
    html = report.render(run, folder)
    assert "from the cache" in html
    assert 'href="#cache"' not in html


def test_the_command_that_runs_it_again_is_shown_as_it_is(run: Run, folder: Path) -> None:
    assert "Run it again" not in report.render(run, folder)
    run.command = f"kfpkit run penguins 'name={HOSTILE}'"
    page = Page(report.render(run, folder))
    assert "Run it again" in page.text
    assert run.command in page.text


def test_what_helps_stands_below_why_it_failed_and_says_nothing_twice(
    run: Run, folder: Path
) -> None:
    help_ = "\n    kubectl logs x\n    kubectl get y\nRead docs/operate/runbooks/run-failed.md"
    run.explanation = f"the step check failed by itself: ValueError: it is too low{help_}"
    page = Page(report.render(run, folder))
    assert "kubectl logs x\nkubectl get y" in page.text
    assert "Read docs/operate/runbooks/run-failed.md" in page.text
    assert "failed by itself" not in page.text
    run.explanation = f"the step check was ended: it used more memory than its limit{help_}"
    assert "it used more memory than its limit" in Page(report.render(run, folder)).text
    run.explanation = ""
    assert "What helps" not in report.render(run, folder)


def test_many_rounds_are_paged_the_failed_ones_first_and_open(run: Run, folder: Path) -> None:
    bad = tuple(range(60, 120))
    run.tasks = [looped(400, bad=bad)]
    html = report.render(run, folder)
    tasks = html[html.index('id="tasks"') : html.index('id="artifacts"')]
    summaries = re.findall(r"<summary>(\[\d+\] to \[\d+\][^<]*)</summary>", tasks)
    assert summaries[:3] == ["[110] to [119], failed", "[0] to [49]", "[50] to [159]"]
    assert len(summaries) == 1 + math.ceil(340 / 50)
    assert sum(f'<td class="name">[{n}]</td>' in tasks for n in range(400)) == 400
    first = tasks.index("[110] to [119], failed")
    assert tasks.index('<td class="name">[60]</td>') < first
    assert len(html) < 1_000_000


def test_a_hash_is_shown_of_what_has_one(run: Run, folder: Path) -> None:
    run.tasks[0].artifacts = [
        Artifact("a", "system.Dataset", "/a", "outputs/a", size=3, sha256="ab" * 32),
        Artifact("b", "system.Dataset", "/b", "", size=3),
    ]
    assert Page(report.render(run, folder)).text.count("SHA-256") == 1
