"""Train the classifier."""

from __future__ import annotations

from pathlib import Path

import joblib
from sklearn.ensemble import RandomForestClassifier

from components.errors import ComponentError, check_range, check_seed
from components.executor_output import Metadata
from components.tables import LABEL, MEASURES, library_versions, read_table, sha256


def train(
    transformed_train: Path,
    model: Path,
    n_estimators: int,
    max_depth: int,
    min_samples_leaf: int,
    seed: int,
) -> dict[str, Metadata]:
    """Fit a random forest and write it with joblib.

    Args:
        transformed_train: CSV file to read: scaled measures and the species' number.
        model: joblib file to write.
        n_estimators: Number of trees, at least 1.
        max_depth: Depth of a tree, at least 1; 0 sets no limit.
        min_samples_leaf: Rows that a leaf must hold, at least 1.
        seed: Seed of the forest; the same seed gives the same model.

    Returns:
        Metadata of `model`.

    Raises:
        ComponentError: A parameter is out of its range; the data cannot be read, lacks a column, or
            has one species only.
    """
    check_range("n_estimators", n_estimators, 1)
    check_range("max_depth", max_depth, 0)
    check_range("min_samples_leaf", min_samples_leaf, 1)
    check_seed(seed)
    table = read_table(transformed_train, "transformed_train", [*MEASURES, LABEL])
    if table[LABEL].nunique() < 2:
        raise ComponentError(
            f"transformed_train ({transformed_train}) has one species only",
            "Give data of at least two",
        )
    hyper_parameters = {
        "n_estimators": n_estimators,
        "max_depth": max_depth or None,
        "min_samples_leaf": min_samples_leaf,
    }
    forest = RandomForestClassifier(**hyper_parameters, random_state=seed)
    forest.fit(table[MEASURES], table[LABEL])
    model.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(forest, model)
    importances = zip(MEASURES, forest.feature_importances_.tolist(), strict=True)
    return {
        "model": {
            "framework": "scikit-learn",
            "format": "joblib",
            "algorithm": type(forest).__name__,
            "hyper_parameters": {**hyper_parameters, "max_depth": max_depth, "seed": seed},
            "features": MEASURES,
            "feature_importances": dict(importances),
            "trained_on_rows": len(table),
            "trained_on_sha256": sha256(transformed_train),
            "sha256": sha256(model),
            "library_versions": library_versions("joblib", "numpy", "scikit-learn"),
        }
    }
