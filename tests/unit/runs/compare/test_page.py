"""The page of a comparison."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.kfp.run import Artifact, Parameter, Run, State, Task
from kfpkit.runs.compare import page
from kfpkit.runs.compare.comparison import compare
from kfpkit.runs.compare.sides import Side
from tests.unit.runs.report.test_browser import CONTRAST, overflow
from tests.unit.runs.report.test_browser import page as window  # noqa: F401 - a fixture
from tests.unit.runs.report.test_page import HOSTILE, Page

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pair(run: Run, folder: Path) -> list[Side]:
    """Two runs that differ in all that is compared."""
    other = deepcopy(run)
    other.id, other.target = "4f1d", "kind"
    other.parameters[0] = Parameter("seed", "NUMBER_INTEGER", 8, 42)
    other.tasks[1].state = State.FAILED
    metrics, curves, *_ = other.tasks[2].artifacts
    metrics.metadata["accuracy"] = 0.5
    curves.metadata["confusionMatrix"]["rows"][0]["row"] = [20, 10, 0]
    curves.metadata["confidenceMetrics"][1]["falsePositiveRate"] = 0.5
    return [Side(run, folder), Side(other, folder)]


def rendered(sides: list[Side]) -> str:
    return page.render(compare(sides))


def test_the_page_is_one_file_without_a_script(pair: list[Side]) -> None:
    found = Page(rendered(pair))
    assert not found.all("script")
    assert [link["href"] for link in found.all("link")] == ["data:,"]
    policy = next(m["content"] for m in found.all("meta") if "http-equiv" in m)
    assert policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_the_page_shows_both_sides_and_what_differs(pair: list[Side]) -> None:
    text = " ".join(Page(rendered(pair)).text.split())
    for part in (
        "A and B differ: 1 parameter, 1 state, 3 metrics",
        "0.98551",
        "0.5 \N{MINUS SIGN}49 %",
        "A · evaluate · curves: 68 of 69 right",
        "B · evaluate · curves: 59 of 69 right",
        "A · evaluate · curves: AUC 0.9375",
        "B · evaluate · curves: AUC 0.875",
    ):
        assert part in text, part


def test_runs_that_evaluate_alike_share_a_picture(pair: list[Side]) -> None:
    text = Page(rendered([pair[0], pair[0], pair[1]])).text
    assert "A = B · evaluate · curves: 68 of 69 right" in text
    assert text.count("Confusion matrix") == 2
    assert text.count("ROC curves") == 1


def test_nothing_of_a_run_becomes_markup(pair: list[Side]) -> None:
    run = pair[1].run
    run.pipeline = run.id = run.target = HOSTILE
    run.parameters.append(Parameter(HOSTILE, "STRING", HOSTILE * 20))
    run.tasks[2].artifacts[0].metadata[HOSTILE] = HOSTILE
    run.tasks.append(Task(HOSTILE, "x", State.SUCCEEDED, outputs={HOSTILE: [HOSTILE]}))
    found = Page(rendered(pair))
    assert not found.all("script")
    assert not found.all("img")
    assert HOSTILE in found.text


def test_odd_numbers_have_no_bar_and_no_change(pair: list[Side]) -> None:
    for values in ((10**400, 1), ("NaN", 0.5), (0, 5), (True, 1), (None, 1.5)):
        for side, value in zip(pair, values, strict=True):
            side.run.tasks[0].outputs = {"odd": value}
            side.run.tasks[2].artifacts[0].metadata["odd"] = value
        assert rendered(pair)


def looped(rounds: int, change: int) -> Task:
    name = "for-loop-1/training-of-one-model"
    return Task(
        name,
        "train",
        State.SUCCEEDED,
        rounds=[
            Task(
                f"for-loop-1[{n}]/training-of-one-model",
                "train",
                State.SUCCEEDED,
                artifacts=[
                    Artifact("m", "system.Metrics", "", "", {"loss": n / 7 + (n == change)})
                ],
            )
            for n in range(rounds)
        ],
    )


def test_of_many_rounds_those_that_differ_are_in_the_open(pair: list[Side]) -> None:
    one, other = deepcopy(pair[0]), deepcopy(pair[0])
    one.run.tasks, other.run.tasks = [looped(400, 7)], [looped(400, 9)]
    text = rendered([one, other])
    assert len(text) < 1_500_000
    folded = text.partition("398 that agree")
    assert folded[1]
    assert text.count('class="tag">differs') == 2
    assert "for-loop-1[9]" in folded[0]
    assert "for-loop-1[8]" not in folded[0].partition('id="metrics"')[2]


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(
    window: Any,  # noqa: F811
    pair: list[Side],
    tmp_path: Path,
    width: int,
) -> None:
    pair[1].run.id = "i" * 120
    pair[1].run.parameters.append(Parameter("p" * 90, "STRING", "v" * 150))
    pair[1].run.tasks.append(Task("t" * 120, "t", State.FAILED))
    file = tmp_path / "compare.html"
    file.write_text(rendered([*pair, *pair]))
    window.set_viewport_size({"width": width, "height": 900})
    window.goto(file.as_uri())
    assert overflow(window) <= 0


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(
    window: Any,  # noqa: F811
    pair: list[Side],
    tmp_path: Path,
    scheme: str,
) -> None:
    file = tmp_path / "compare.html"
    file.write_text(rendered(pair))
    window.emulate_media(color_scheme=scheme)
    window.goto(file.as_uri())
    found = window.evaluate(CONTRAST)
    assert len(found) > 50
    assert [each for each in found if each[0] < 1] == []
