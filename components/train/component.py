"""The component for pipelines written in Python."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def train(
    transformed_train: Input[Dataset],
    model: Output[Model],
    n_estimators: int = 100,
    max_depth: int = 0,
    min_samples_leaf: int = 1,
    seed: int = 42,
) -> None:
    """Fit a random forest.

    Args:
        transformed_train: Scaled measures and the species' number, CSV.
        model: scikit-learn classifier, joblib.
        n_estimators: Number of trees, at least 1.
        max_depth: Depth of a tree, at least 1; 0 sets no limit.
        min_samples_leaf: Rows that a leaf must hold, at least 1.
        seed: Seed of the forest.
    """
    from pathlib import Path

    from components.train import logic

    metadata = logic.train(
        Path(transformed_train.path),
        Path(model.path),
        n_estimators,
        max_depth,
        min_samples_leaf,
        seed,
    )
    model.metadata.update(metadata["model"])
