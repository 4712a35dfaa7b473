"""Make train and test data fit for a model, learning from the train data only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from components.errors import ComponentError
from components.executor_output import Metadata
from components.tables import (
    LABEL,
    MEASURES,
    counts,
    library_versions,
    read_table,
    sha256,
    write_table,
)


def transform(
    train: Path, test: Path, transformed_train: Path, transformed_test: Path, preprocessing: Path
) -> dict[str, Metadata]:
    """Drop rows without all measures, encode the species as numbers, scale the measures.

    The scaler learns mean and standard deviation from the train data alone: whatever the test data
    holds, it changes neither the train data nor the scale.

    Args:
        train: Raw CSV file to read.
        test: Raw CSV file to read.
        transformed_train: CSV file to write: the scaled measures and the species' number.
        transformed_test: CSV file to write, alike.
        preprocessing: JSON file to write: `features`, their `mean` and `scale`, and the `species`
            in the order of their numbers. It is what a new measurement needs before the model.

    Returns:
        Metadata of the three outputs.

    Raises:
        ComponentError: A file cannot be read, lacks a column, holds no complete row or a measure
            that is no number; the train data has one species only; the test data has a species that
            the train data lacks.
    """
    train_rows, test_rows = complete_rows(train, "train"), complete_rows(test, "test")
    species = sorted(train_rows[LABEL].unique())
    if len(species) < 2:
        raise ComponentError(
            f"train ({train}) has one species only: {species[0]}", "Give data of at least two"
        )
    unknown = sorted(set(test_rows[LABEL]) - set(species))
    if unknown:
        raise ComponentError(
            f"test ({test}) has species that train lacks: {', '.join(unknown)}",
            "Split the data by species, as generate_data does",
        )
    scaler = StandardScaler().fit(train_rows[MEASURES])
    learnt = {
        "features": MEASURES,
        "mean": scaler.mean_.tolist(),
        "scale": scaler.scale_.tolist(),
        "species": species,
    }
    preprocessing.parent.mkdir(parents=True, exist_ok=True)
    preprocessing.write_text(json.dumps(learnt, indent=2) + "\n", encoding="utf-8")
    metadata: dict[str, Metadata] = {
        "preprocessing": {
            **learnt,
            "format": "JSON",
            "fitted_on_sha256": sha256(train),
            "library_versions": library_versions("scikit-learn"),
        }
    }
    for name, source, rows, path in (
        ("transformed_train", train, train_rows, transformed_train),
        ("transformed_test", test, test_rows, transformed_test),
    ):
        write_table(scaled(rows, scaler, species), path)
        metadata[name] = {
            "format": "CSV",
            "rows": len(rows),
            "dropped_rows": rows.attrs["dropped"],
            "columns": [*MEASURES, LABEL],
            "species": counts(rows[LABEL]),
            "sha256": sha256(path),
            "made_from_sha256": sha256(source),
            "library_versions": library_versions("pandas", "scikit-learn"),
        }
    return metadata


def complete_rows(path: Path, name: str) -> pd.DataFrame:
    """Read raw data and keep the rows that have the species and all measures.

    Returns:
        The rows; `attrs["dropped"]` is how many there were besides.

    Raises:
        ComponentError: The file cannot be read, lacks a column, holds no complete row, or holds a
            measure that is no number.
    """
    table = read_table(path, name, [LABEL, *MEASURES])
    for column in MEASURES:
        values = pd.to_numeric(table[column], errors="coerce").replace([np.inf, -np.inf], np.nan)
        wrong = table[column][values.isna() & table[column].notna()]
        if not wrong.empty:
            raise ComponentError(
                f"{name} ({path}) has a measure that is no number: {column} is "
                f"{wrong.iloc[0]} in data row {int(wrong.index[0]) + 1}",
                "Mend the value or write NA for a missing one",
            )
        table[column] = values
    complete = table.dropna(subset=[LABEL, *MEASURES])
    if complete.empty:
        raise ComponentError(
            f"{name} ({path}) has no row with the species and all of {', '.join(MEASURES)}",
            "Give data with at least one complete row",
        )
    complete.attrs["dropped"] = len(table) - len(complete)
    return complete


def scaled(rows: pd.DataFrame, scaler: StandardScaler, species: list[str]) -> pd.DataFrame:
    """Return the scaled measures and the species' number, which is its place in `species`."""
    table = pd.DataFrame(scaler.transform(rows[MEASURES]), columns=MEASURES)
    table[LABEL] = rows[LABEL].map(species.index).to_numpy()
    return table
