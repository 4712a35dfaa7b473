"""The component for pipelines written in Python."""

from kfp import dsl
from kfp.dsl import Dataset, Output

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def generate_data(
    train: Output[Dataset],
    test: Output[Dataset],
    test_fraction: float = 0.2,
    seed: int = 42,
) -> None:
    """Split the Palmer penguins into train and test data, both with the species in equal shares.

    Args:
        train: Raw train data, CSV; missing values are kept.
        test: Raw test data, CSV; missing values are kept.
        test_fraction: Share of the rows that go to test, above 0 and below 1.
        seed: Seed of the split.
    """
    from pathlib import Path

    from components.generate_data import logic

    metadata = logic.generate_data(Path(train.path), Path(test.path), test_fraction, seed)
    train.metadata.update(metadata["train"])
    test.metadata.update(metadata["test"])
