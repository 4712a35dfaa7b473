"""Fail a run whose model is not good enough.

A task of its own, because KFP keeps no output of a task that failed: were it `evaluate` that fails,
the metrics and the report would be lost just when they are needed. Besides, another threshold then
takes the evaluation from the cache.
"""

from __future__ import annotations

from components.errors import ComponentError, check_range
from components.executor_output import Metadata


def check_accuracy(accuracy: float, min_accuracy: float) -> dict[str, Metadata]:
    """Compare the accuracy with the least that is wanted.

    Args:
        accuracy: Share of the test data that the model got right, from 0 to 1.
        min_accuracy: The least accuracy wanted, from 0 to 1; 0 accepts any model.

    Returns:
        Nothing: the component has no output artifact.

    Raises:
        ComponentError: The accuracy is lower, or a parameter is out of its range.
    """
    check_range("accuracy", accuracy, 0, 1)
    check_range("min_accuracy", min_accuracy, 0, 1)
    if accuracy < min_accuracy:
        raise ComponentError(
            f"the model's accuracy {accuracy:.4f} is below min_accuracy {min_accuracy:g}",
            "See the report of the task evaluate; change the data or the hyper-parameters, "
            "or lower min_accuracy",
        )
    return {}
