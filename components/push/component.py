"""The component for pipelines written in Python."""

from kfp import dsl
from kfp.dsl import Input, Markdown, Model, OutputPath

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def push(
    model: Input[Model],
    model_card: Input[Markdown],
    accuracy: float,
    to: str,
    uri: OutputPath(str),
    name: str = "model",
    min_accuracy: float = 0.9,
    run_id: str = "",
    endpoint: str = "",
) -> None:
    """Push an accepted model and its card to a versioned place in S3, Cloud Storage or a folder.

    Args:
        model: The model, a file or a folder.
        model_card: Its card.
        accuracy: Share of the test data that the model got right.
        to: Where to, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or an absolute folder.
        name: The model's name, under which its versions are.
        min_accuracy: The least accuracy wanted, from 0 to 1; 0 accepts any model.
        run_id: ID of the run, dsl.PIPELINE_JOB_ID_PLACEHOLDER.
        endpoint: Address of the store; empty for that of AWS or Google.
        uri: Where the version is.
    """
    from pathlib import Path

    from components.push import logic

    logic.push(
        Path(model.path),
        Path(model_card.path),
        accuracy,
        to,
        name,
        min_accuracy,
        run_id,
        endpoint,
        Path(uri),
    )
