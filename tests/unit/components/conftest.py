"""One run of all components' logic, made once and read by the tests."""

from __future__ import annotations

import pytest

from components.evaluate.logic import evaluate
from components.generate_data.logic import generate_data
from components.train.logic import train
from components.transform.logic import transform
from tests.support.components import Run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run with the pipeline's own defaults."""
    at = tmp_path_factory.mktemp("run")
    metadata = generate_data(at / "train", at / "test", test_fraction=0.2, seed=42)
    metadata |= transform(
        at / "train",
        at / "test",
        at / "transformed_train",
        at / "transformed_test",
        at / "preprocessing",
    )
    metadata |= train(at / "transformed_train", at / "model", 100, 0, 1, seed=42)
    metadata |= evaluate(
        at / "model",
        at / "transformed_test",
        at / "preprocessing",
        at / "accuracy",
        at / "report",
        at / "model_card",
    )
    return Run(at, metadata)
