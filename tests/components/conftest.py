"""One run of all components' logic, made once and read by the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from components.evaluate.logic import evaluate
from components.generate_data.logic import generate_data
from components.train.logic import train
from components.transform.logic import transform

if TYPE_CHECKING:
    from pathlib import Path

    from components.executor_output import Metadata


@dataclass(frozen=True)
class Run:
    """The files of a run and the metadata of its artifacts, both by name of the artifact."""

    folder: Path
    metadata: dict[str, Metadata]

    def __getitem__(self, name: str) -> Path:
        return self.folder / name


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
