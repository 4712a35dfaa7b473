"""Training: the parameters reach the model, and the same seed gives the same one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import joblib
import pandas as pd
import pytest

from components.errors import ComponentError
from components.tables import LABEL, MEASURES, sha256
from components.train.logic import train

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.components import Run


def test_the_hyper_parameters_reach_the_model(tmp_path: Path, run: Run) -> None:
    metadata = train(run["transformed_train"], tmp_path / "model", 7, 2, 3, seed=5)["model"]
    forest = joblib.load(tmp_path / "model")
    assert len(forest.estimators_) == 7
    assert max(tree.get_depth() for tree in forest.estimators_) == 2
    assert forest.min_samples_leaf == 3
    assert metadata["hyper_parameters"] == {
        "n_estimators": 7,
        "max_depth": 2,
        "min_samples_leaf": 3,
        "seed": 5,
    }


def test_depth_0_sets_no_limit(run: Run) -> None:
    forest = joblib.load(run["model"])
    assert max(tree.get_depth() for tree in forest.estimators_) > 4


def test_the_model_learnt_the_species_from_the_measures(run: Run) -> None:
    forest = joblib.load(run["model"])
    table = pd.read_csv(run["transformed_train"])
    assert list(forest.feature_names_in_) == MEASURES
    assert forest.score(table[MEASURES], table[LABEL]) > 0.99


def test_the_same_seed_gives_the_same_model(tmp_path: Path, run: Run) -> None:
    train(run["transformed_train"], tmp_path / "same", 100, 0, 1, seed=42)
    train(run["transformed_train"], tmp_path / "other", 100, 0, 1, seed=43)
    assert (tmp_path / "same").read_bytes() == run["model"].read_bytes()
    assert (tmp_path / "other").read_bytes() != run["model"].read_bytes()


def test_the_metadata_name_the_data_and_the_file(run: Run) -> None:
    metadata = run.metadata["model"]
    assert metadata["trained_on_sha256"] == run.metadata["transformed_train"]["sha256"]
    assert metadata["sha256"] == sha256(run["model"])
    importances = metadata["feature_importances"]
    assert isinstance(importances, dict)
    assert set(importances) == set(MEASURES)
    assert sum(importances.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 0, 1, 42), r"^n_estimators is 0\. Give a value at least 1"),
        ((10, -1, 1, 42), r"^max_depth is -1\. Give a value at least 0"),
        ((10, 0, 0, 42), r"^min_samples_leaf is 0\. Give a value at least 1"),
        ((10, 0, 1, -1), r"^seed is -1\. Give a whole number"),
    ],
)
def test_a_parameter_out_of_range_is_refused(
    tmp_path: Path, run: Run, values: tuple[int, int, int, int], message: str
) -> None:
    with pytest.raises(ComponentError, match=message):
        train(run["transformed_train"], tmp_path / "model", *values)
    assert not (tmp_path / "model").exists()


def test_a_single_class_is_refused(tmp_path: Path, run: Run) -> None:
    table = pd.read_csv(run["transformed_train"])
    table[table[LABEL] == 0].to_csv(tmp_path / "data", index=False)
    with pytest.raises(ComponentError, match=r"^transformed_train \(.+\) has one species only"):
        train(tmp_path / "data", tmp_path / "model", 10, 0, 1, seed=1)


def test_a_missing_column_is_named(tmp_path: Path, run: Run) -> None:
    table = pd.read_csv(run["transformed_train"]).drop(columns="bill_length_mm")
    table.to_csv(tmp_path / "data", index=False)
    with pytest.raises(ComponentError, match="lacks the column bill_length_mm"):
        train(tmp_path / "data", tmp_path / "model", 10, 0, 1, seed=1)
