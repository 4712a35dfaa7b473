"""The evaluation: figures checked by hand, artifacts that KFP shows, a page that stands alone."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from components.errors import ComponentError
from components.evaluate.logic import evaluate, judge
from components.tables import LABEL, MEASURES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.components import Run

SPECIES = ["Adelie", "Chinstrap", "Gentoo"]


class Oracle:
    """A classifier that gives the probabilities it was made with."""

    def __init__(self, probabilities: list[list[float]]) -> None:
        self.probabilities = np.array(probabilities)

    def predict_proba(self, _: pd.DataFrame) -> np.ndarray:
        return self.probabilities

    def get_params(self) -> dict[str, object]:
        return {}


def table(truth: list[int]) -> pd.DataFrame:
    return pd.DataFrame(dict.fromkeys(MEASURES, [0.0] * len(truth)) | {LABEL: truth})


@pytest.fixture
def inputs(tmp_path: Path, run: Run) -> dict[str, Path]:
    """Return the arguments of `evaluate`, with outputs that are not there yet."""
    given = {name: run[name] for name in ("model", "transformed_test", "preprocessing")}
    return given | {name: tmp_path / name for name in ("accuracy", "report", "model_card")}


def test_the_figures_are_those_counted_by_hand() -> None:
    """Four penguins; the second, an Adelie, is taken for a Chinstrap."""
    oracle = Oracle([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.1, 0.9, 0.0], [0.0, 0.2, 0.8]])
    result = judge(oracle, table([0, 0, 1, 2]), SPECIES, where="here")
    assert result.accuracy == 3 / 4
    assert result.confusion == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert [scores.precision for scores in result.by_species] == [1, 1 / 2, 1]
    assert [scores.recall for scores in result.by_species] == [1 / 2, 1, 1]
    assert result.metrics["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert result.metrics["test_rows"] == 4
    assert result.log_loss == pytest.approx(-np.log([0.8, 0.3, 0.9, 0.8]).mean())
    assert [scores.roc.area for scores in result.by_species] == [1, 1, 1]


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    """Micro-averaged: of all (right, wrong) pairs of answers, those where right has more."""
    probabilities = [[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.1, 0.9, 0.0], [0.0, 0.2, 0.8]]
    result = judge(Oracle(probabilities), table([0, 0, 1, 2]), SPECIES, where="here")
    right, wrong = [0.8, 0.3, 0.9, 0.8], [0.1, 0.1, 0.6, 0.1, 0.1, 0.0, 0.0, 0.2]
    pairs = [(r > w) + (r == w) / 2 for r in right for w in wrong]
    assert result.roc.area == pytest.approx(sum(pairs) / len(pairs))


def test_the_sample_reaches_the_accuracy_it_is_made_for(run: Run) -> None:
    accuracy = float(run["accuracy"].read_text())
    assert accuracy >= 0.95
    assert run.metadata["metrics"]["accuracy"] == accuracy


def test_the_confusion_matrix_counts_every_test_row(run: Run) -> None:
    matrix: Any = run.metadata["classification_metrics"]["confusionMatrix"]
    rows = [row["row"] for row in matrix["rows"]]
    names = [each["displayName"] for each in matrix["annotationSpecs"]]
    species: Any = run.metadata["transformed_test"]["species"]
    assert {name: sum(row) for name, row in zip(names, rows, strict=True)} == species
    assert all(len(row) == len(names) for row in rows)


def test_the_roc_is_finite_and_monotone_from_corner_to_corner(run: Run) -> None:
    points: Any = run.metadata["classification_metrics"]["confidenceMetrics"]
    thresholds = [point["confidenceThreshold"] for point in points]
    assert all(0 <= value <= 1 for point in points for value in point.values())
    assert thresholds == sorted(thresholds, reverse=True)
    for name in ("falsePositiveRate", "recall"):
        rates = [point[name] for point in points]
        assert (rates[0], rates[-1]) == (0, 1)
        assert rates == sorted(rates)


def test_all_metadata_are_json_that_kfp_can_read(run: Run) -> None:
    """No infinity, no NaN, no number of NumPy's; and scalar metrics are flat."""
    assert json.loads(json.dumps(run.metadata, allow_nan=False)) == run.metadata
    assert all(type(value) in (int, float) for value in run.metadata["metrics"].values())


def test_the_report_stands_alone_and_has_a_picture_for_each_colour_scheme(run: Run) -> None:
    page = run["report"].read_text(encoding="utf-8")
    addresses = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert len(addresses) == 6
    head = "data:image/svg+xml;base64,"
    for address in addresses:
        assert address.startswith(head)
        drawing = base64.b64decode(address.removeprefix(head)).decode()
        assert ElementTree.fromstring(drawing).tag.endswith("svg")  # noqa: S314 - our own
        assert not re.findall(r'href="(?!#|data:)', drawing)
    assert len(set(addresses)) == 6
    outside = re.sub(r"data:[^\"]*", "", page)
    assert "http" not in outside
    assert "<script" not in outside
    assert "prefers-color-scheme: dark" in outside


def test_report_and_card_show_every_metric_and_species(run: Run) -> None:
    page, card = run["report"].read_text(), run["model_card"].read_text()
    for name, value in run.metadata["metrics"].items():
        assert f"| {name} | " in card
        if name != "test_rows":
            assert f"<b>{value:.4f}</b>" in page
    for name in SPECIES:
        assert f"<td>{name}</td>" in page
        assert f"| {name} | " in card
    assert str(run.metadata["model"]["sha256"]) in card


def test_the_same_inputs_give_the_same_report_and_card_whatever_python_runs(
    run: Run, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    metadata = evaluate(**inputs)
    assert "3.99.0" in str(metadata["report"])
    for name in ("report", "model_card", "accuracy"):
        assert inputs[name].read_bytes() == run[name].read_bytes()


def test_an_unreadable_model_is_refused(tmp_path: Path, inputs: dict[str, Path]) -> None:
    (tmp_path / "broken").write_bytes(b"no model")
    for path in (tmp_path / "broken", tmp_path / "none"):
        with pytest.raises(ComponentError, match=r"^model cannot be read from .+ task train\."):
            evaluate(**inputs | {"model": path})
    assert not inputs["report"].exists()


def test_a_model_that_is_none_is_refused(tmp_path: Path, inputs: dict[str, Path]) -> None:
    joblib.dump({"not": "a model"}, tmp_path / "dict")
    with pytest.raises(ComponentError, match="is a dict, no classifier with probabilities"):
        evaluate(**inputs | {"model": tmp_path / "dict"})


def test_a_model_of_other_features_is_refused(tmp_path: Path, inputs: dict[str, Path]) -> None:
    other = DummyClassifier().fit(pd.DataFrame({"x": [1, 2, 3]}), [0, 1, 2])
    joblib.dump(other, tmp_path / "other")
    with pytest.raises(ComponentError, match="was not trained on bill_length_mm"):
        evaluate(**inputs | {"model": tmp_path / "other"})


def test_a_model_of_other_species_is_refused(tmp_path: Path, inputs: dict[str, Path]) -> None:
    (tmp_path / "two").write_text('{"species": ["Adelie", "Gentoo"]}')
    with pytest.raises(ComponentError, match=r"knows the classes \[0, 1, 2\].+ has 2 species"):
        evaluate(**inputs | {"preprocessing": tmp_path / "two"})


@pytest.mark.parametrize("text", ["", "{}", "[]", "null"])
def test_an_unreadable_preprocessing_is_refused(
    tmp_path: Path, inputs: dict[str, Path], text: str
) -> None:
    (tmp_path / "bad").write_text(text)
    with pytest.raises(ComponentError, match=r"^preprocessing cannot be read .+ task transform\."):
        evaluate(**inputs | {"preprocessing": tmp_path / "bad"})


def test_a_species_without_a_test_row_is_named() -> None:
    with pytest.raises(ComponentError, match=r"\(here\) has no row of Chinstrap, Gentoo"):
        judge(Oracle([[1, 0, 0]]), table([0]), SPECIES, where="here")


def test_a_number_that_no_species_has_is_refused() -> None:
    with pytest.raises(ComponentError, match=r"\(here\) has species numbers beyond 2"):
        judge(Oracle([[1, 0, 0]] * 4), table([0, 1, 2, 3]), SPECIES, where="here")


def test_a_missing_column_is_named(tmp_path: Path, run: Run, inputs: dict[str, Path]) -> None:
    data = pd.read_csv(run["transformed_test"]).drop(columns=LABEL)
    data.to_csv(tmp_path / "data", index=False)
    with pytest.raises(ComponentError, match=r"^transformed_test \(.+\) lacks the column species"):
        evaluate(**inputs | {"transformed_test": tmp_path / "data"})
