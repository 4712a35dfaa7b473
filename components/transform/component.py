"""The component for pipelines written in Python."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def transform(
    train: Input[Dataset],
    test: Input[Dataset],
    transformed_train: Output[Dataset],
    transformed_test: Output[Dataset],
    preprocessing: Output[Artifact],
) -> None:
    """Drop incomplete rows, encode the species, scale the measures as the train data has them.

    Args:
        train: Raw train data, CSV.
        test: Raw test data, CSV.
        transformed_train: Scaled measures and the species' number, CSV.
        transformed_test: Scaled measures and the species' number, CSV.
        preprocessing: Mean and scale of each measure and the species' names, JSON.
    """
    from pathlib import Path

    from components.transform import logic

    metadata = logic.transform(
        Path(train.path),
        Path(test.path),
        Path(transformed_train.path),
        Path(transformed_test.path),
        Path(preprocessing.path),
    )
    transformed_train.metadata.update(metadata["transformed_train"])
    transformed_test.metadata.update(metadata["transformed_test"])
    preprocessing.metadata.update(metadata["preprocessing"])
