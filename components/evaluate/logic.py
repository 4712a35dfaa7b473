"""Evaluate a model on the test data, for people and for machines."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    auc,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    roc_curve,
)

from components.errors import ComponentError
from components.evaluate import model_card as card
from components.evaluate import report as page
from components.evaluate.evaluation import Evaluation, Roc, SpeciesScores
from components.executor_output import Metadata
from components.tables import LABEL, MEASURES, library_versions, read_table, sha256

#: Named in report and card; Python is not, so that both are the same bytes on every machine.
LIBRARIES = ("joblib", "numpy", "pandas", "scikit-learn")


def evaluate(
    model: Path,
    transformed_test: Path,
    preprocessing: Path,
    accuracy: Path,
    report: Path,
    model_card: Path,
) -> dict[str, Metadata]:
    """Compute metrics on the test data and write a report and a model card.

    Args:
        model: joblib file to read: a scikit-learn classifier that gives probabilities.
        transformed_test: CSV file to read: scaled measures and the species' number.
        preprocessing: JSON file to read, for the species' names.
        accuracy: Text file to write: the accuracy, as a parameter for later tasks.
        report: HTML file to write.
        model_card: Markdown file to write.

    Returns:
        Metadata of the output artifacts; those of `metrics` and `classification_metrics` are
        metadata alone, without a file.

    Raises:
        ComponentError: A file cannot be read or does not fit the others, or the test data lacks a
            species.
    """
    species = read_species(preprocessing)
    classifier = read_model(model, species)
    test = read_table(transformed_test, "transformed_test", [*MEASURES, LABEL])
    result = judge(classifier, test, species, where=str(transformed_test))
    data_hash, model_hash = sha256(transformed_test), sha256(model)
    for path, text in (
        (accuracy, repr(result.accuracy)),
        (report, page.render(result)),
        (model_card, card.render(result, model_sha256=model_hash, data_sha256=data_hash)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return {
        "metrics": {**result.metrics},
        "classification_metrics": {
            "confusionMatrix": {
                "annotationSpecs": [{"displayName": name} for name in species],
                "rows": [{"row": row} for row in result.confusion],
            },
            "confidenceMetrics": [
                {"confidenceThreshold": threshold, "falsePositiveRate": x, "recall": y}
                for x, y, threshold in result.roc.points
            ],
        },
        "report": {
            "format": "HTML",
            "evaluated_on_sha256": data_hash,
            "model_sha256": model_hash,
            "library_versions": library_versions("matplotlib", "scikit-learn"),
        },
        "model_card": {"format": "Markdown", "model_sha256": model_hash},
    }


def read_species(path: Path) -> list[str]:
    """Return the species' names in the order of their numbers.

    Raises:
        ComponentError: The file cannot be read or is not what `transform` writes.
    """
    try:
        species = json.loads(path.read_text(encoding="utf-8"))["species"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ComponentError(
            f"preprocessing cannot be read from {path}: {error!r}",
            "Give the output preprocessing of the task transform",
        ) from None
    return [str(name) for name in species]


def read_model(path: Path, species: list[str]) -> Any:
    """Return the classifier.

    Raises:
        ComponentError: The file cannot be read, or is no classifier of these species by the four
            measures.
    """
    do = "Give the output model of the task train"
    try:
        classifier = joblib.load(path)
    except Exception as error:  # joblib and pickle raise whatever a broken file makes them raise
        raise ComponentError(f"model cannot be read from {path}: {error!r}", do) from None
    if not hasattr(classifier, "predict_proba"):
        found = type(classifier).__name__
        raise ComponentError(f"model ({path}) is a {found}, no classifier with probabilities", do)
    if list(getattr(classifier, "feature_names_in_", [])) != MEASURES:
        raise ComponentError(f"model ({path}) was not trained on {', '.join(MEASURES)}", do)
    if list(classifier.classes_) != list(range(len(species))):
        raise ComponentError(
            f"model ({path}) knows the classes {classifier.classes_.tolist()}, but preprocessing "
            f"has {len(species)} species",
            "Give a model and a preprocessing of the same run",
        )
    return classifier


def judge(classifier: Any, test: pd.DataFrame, species: list[str], where: str) -> Evaluation:
    """Compare the classifier's answers with the truth.

    Args:
        classifier: A fitted scikit-learn classifier; its classes are the species' numbers.
        test: Scaled measures and the species' number.
        species: Names of the species in the order of their numbers.
        where: Where the test data is from, for the error's text.

    Raises:
        ComponentError: A species has no row, so that its scores are undefined.
    """
    numbers = list(range(len(species)))
    truth = test[LABEL].to_numpy()
    absent = [species[number] for number in numbers if number not in truth]
    if absent:
        raise ComponentError(
            f"transformed_test ({where}) has no row of {', '.join(absent)}",
            "Give test data of every species, for example by a larger test_fraction",
        )
    if not set(truth) <= set(numbers):
        raise ComponentError(
            f"transformed_test ({where}) has {LABEL} numbers beyond {len(species) - 1}",
            "Give test data and a preprocessing of the same run",
        )
    probabilities = classifier.predict_proba(test[MEASURES])
    answers = probabilities.argmax(axis=1)
    is_species = truth[:, np.newaxis] == np.array(numbers)
    curves = [roc(is_species[:, number], probabilities[:, number]) for number in numbers]
    scores = precision_recall_fscore_support(truth, answers, labels=numbers, zero_division=0)
    by_species = [
        SpeciesScores(name, float(p), float(r), float(f), int(rows), curve)
        for name, p, r, f, rows, curve in zip(species, *scores, curves, strict=True)
    ]
    return Evaluation(
        accuracy=float(accuracy_score(truth, answers)),
        log_loss=float(log_loss(truth, probabilities, labels=numbers)),
        confusion=confusion_matrix(truth, answers, labels=numbers).tolist(),
        by_species=by_species,
        # Every (penguin, species) pair is one yes-or-no question: a KFP artifact shows one curve,
        # and unlike an average of curves this one has thresholds that mean something.
        roc=roc(is_species.ravel(), probabilities.ravel()),
        algorithm=type(classifier).__name__,
        hyper_parameters=_hyper_parameters(classifier),
        importances=_importances(classifier),
        library_versions={name: version(name) for name in LIBRARIES},
    )


def roc(truth: np.ndarray, scores: np.ndarray) -> Roc:
    """Return a curve whose numbers are all finite.

    scikit-learn starts its curve at the threshold infinity, which JSON lacks and KFP refuses; a
    probability is never above 1, so that 1 says the same.
    """
    false_positive_rates, recalls, thresholds = roc_curve(truth, scores)
    clipped = np.minimum(thresholds, 1.0)
    points = zip(false_positive_rates.tolist(), recalls.tolist(), clipped.tolist(), strict=True)
    return Roc(points=list(points), area=float(auc(false_positive_rates, recalls)))


def _hyper_parameters(classifier: Any) -> dict[str, str]:
    names = ("n_estimators", "max_depth", "min_samples_leaf", "random_state")
    set_to = classifier.get_params()
    return {
        name: "no limit" if set_to[name] is None else str(set_to[name])
        for name in names
        if name in set_to
    }


def _importances(classifier: Any) -> dict[str, float]:
    values = getattr(classifier, "feature_importances_", None)
    return {} if values is None else dict(zip(MEASURES, values.tolist(), strict=True))
