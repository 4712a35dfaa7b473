"""The component for pipelines written in Python."""

from kfp import dsl

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def check_accuracy(accuracy: float, min_accuracy: float = 0.9) -> None:
    """Fail the run where the model's accuracy is below a threshold.

    Args:
        accuracy: Share of the test data that the model got right.
        min_accuracy: The least accuracy wanted, from 0 to 1; 0 accepts any model.
    """
    from components.check_accuracy import logic

    logic.check_accuracy(accuracy, min_accuracy)
