"""Preprocessing: learnt from the train data alone, complete rows only, readable numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from components.errors import ComponentError
from components.tables import LABEL, MEASURES
from components.transform.logic import transform

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.components import Run

    Transform = Callable[[pd.DataFrame, pd.DataFrame], Path]


@pytest.fixture
def raw(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_csv(run["train"]), pd.read_csv(run["test"])


@pytest.fixture
def transformed(tmp_path: Path) -> Transform:
    """Transform two tables and return the folder with the outputs."""

    def call(train: pd.DataFrame, test: pd.DataFrame) -> Path:
        train.to_csv(tmp_path / "train", index=False)
        test.to_csv(tmp_path / "test", index=False)
        outputs = (tmp_path / name for name in ("out_train", "out_test", "preprocessing"))
        transform(tmp_path / "train", tmp_path / "test", *outputs)
        return tmp_path

    return call


def test_the_scale_is_the_train_datas_own(run: Run, raw: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """Statistics over all rows would tell the model about the test data."""
    learnt = json.loads(run["preprocessing"].read_text())
    train = raw[0][MEASURES].dropna()
    everyone = pd.concat(raw)[MEASURES].dropna()
    assert learnt["mean"] == pytest.approx(train.mean().tolist(), rel=1e-12)
    assert learnt["scale"] == pytest.approx(train.std(ddof=0).tolist(), rel=1e-12)
    assert learnt["mean"] != pytest.approx(everyone.mean().tolist(), rel=1e-6)


def test_other_test_data_changes_neither_the_scale_nor_the_train_data(
    run: Run, raw: tuple[pd.DataFrame, pd.DataFrame], transformed: Transform
) -> None:
    train, test = raw
    folder = transformed(train, test.assign(body_mass_g=test["body_mass_g"] * 1000))
    assert (folder / "preprocessing").read_bytes() == run["preprocessing"].read_bytes()
    assert (folder / "out_train").read_bytes() == run["transformed_train"].read_bytes()
    assert (folder / "out_test").read_bytes() != run["transformed_test"].read_bytes()


def test_the_train_measures_are_standardised(run: Run) -> None:
    table = pd.read_csv(run["transformed_train"])
    assert table[MEASURES].mean().tolist() == pytest.approx([0] * 4, abs=1e-9)
    assert table[MEASURES].std(ddof=0).tolist() == pytest.approx([1] * 4)


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_preprocessing_leads_back_to_the_raw_data(run: Run, part: str) -> None:
    """Rows, their order, their measures and their species; only incomplete rows are gone."""
    learnt = json.loads(run["preprocessing"].read_text())
    source = pd.read_csv(run[part]).dropna(subset=MEASURES)
    result = pd.read_csv(run[f"transformed_{part}"])
    back = result[learnt["features"]] * learnt["scale"] + learnt["mean"]
    pd.testing.assert_frame_equal(
        back, source[MEASURES].reset_index(drop=True), check_dtype=False, rtol=1e-9
    )
    assert [learnt["species"][number] for number in result[LABEL]] == source[LABEL].tolist()


def test_the_metadata_count_kept_and_dropped_rows(run: Run) -> None:
    for part in ("train", "test"):
        raw, new = run.metadata[part], run.metadata[f"transformed_{part}"]
        assert new["made_from_sha256"] == raw["sha256"]
        assert int(str(new["rows"])) + int(str(new["dropped_rows"])) == raw["rows"]
    dropped = [run.metadata[f"transformed_{part}"]["dropped_rows"] for part in ("train", "test")]
    assert sum(map(int, map(str, dropped))) == 2


def test_a_missing_column_is_named(
    raw: tuple[pd.DataFrame, pd.DataFrame], transformed: Transform
) -> None:
    train, test = raw
    with pytest.raises(ComponentError, match=r"^test \(.+\) lacks the column bill_depth_mm"):
        transformed(train, test.drop(columns="bill_depth_mm"))


def test_a_single_class_is_refused(
    raw: tuple[pd.DataFrame, pd.DataFrame], transformed: Transform
) -> None:
    train, test = raw
    with pytest.raises(ComponentError, match=r"^train \(.+\) has one species only: Gentoo"):
        transformed(train[train[LABEL] == "Gentoo"], test)


def test_a_species_that_only_the_test_data_has_is_named(
    raw: tuple[pd.DataFrame, pd.DataFrame], transformed: Transform
) -> None:
    train, test = raw
    with pytest.raises(ComponentError, match=r"has species that train lacks: Chinstrap"):
        transformed(train[train[LABEL] != "Chinstrap"], test)


@pytest.mark.parametrize("value", ["heavy", "inf"])
def test_a_measure_that_is_no_number_is_named(
    raw: tuple[pd.DataFrame, pd.DataFrame], transformed: Transform, value: str
) -> None:
    train, test = raw
    train["body_mass_g"] = train["body_mass_g"].astype(object)
    train.loc[7, "body_mass_g"] = value
    with pytest.raises(ComponentError, match=rf"body_mass_g is {value} in data row 8"):
        transformed(train, test)


def test_data_without_a_complete_row_is_refused(
    raw: tuple[pd.DataFrame, pd.DataFrame], transformed: Transform
) -> None:
    train, test = raw
    with pytest.raises(ComponentError, match=r"^train \(.+\) has no row with the species and all"):
        transformed(train.assign(bill_length_mm=None), test)
