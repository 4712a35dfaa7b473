"""The component for pipelines written in Python."""

from kfp import dsl
from kfp.dsl import (
    HTML,
    Artifact,
    ClassificationMetrics,
    Dataset,
    Input,
    Markdown,
    Metrics,
    Model,
    Output,
    OutputPath,
)

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def evaluate(
    model: Input[Model],
    transformed_test: Input[Dataset],
    preprocessing: Input[Artifact],
    accuracy: OutputPath(float),
    metrics: Output[Metrics],
    classification_metrics: Output[ClassificationMetrics],
    report: Output[HTML],
    model_card: Output[Markdown],
) -> None:
    """Judge the model on the test data; write metrics, a report and a model card.

    Args:
        model: scikit-learn classifier, joblib.
        transformed_test: Scaled measures and the species' number, CSV.
        preprocessing: Mean and scale of each measure and the species' names, JSON.
        accuracy: Share of the test data that the model got right.
        metrics: Accuracy, macro averages, log loss.
        classification_metrics: Confusion matrix, and the ROC over all species.
        report: The evaluation with pictures.
        model_card: What the model is, what it is for, and its limits.
    """
    from pathlib import Path

    from components.evaluate import logic

    metadata = logic.evaluate(
        Path(model.path),
        Path(transformed_test.path),
        Path(preprocessing.path),
        Path(accuracy),
        Path(report.path),
        Path(model_card.path),
    )
    metrics.metadata.update(metadata["metrics"])
    classification_metrics.metadata.update(metadata["classification_metrics"])
    report.metadata.update(metadata["report"])
    model_card.metadata.update(metadata["model_card"])
