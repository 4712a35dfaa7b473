"""The pipeline my-name: it makes data, and fits a line to them."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output

# isort: split
from my_name_steps import fit_line, write_data

IMAGE = "my-image"


@dsl.component(
    base_image=IMAGE,
    install_kfp_package=False,
    additional_funcs=[write_data],
)
def make_data(rows: int, seed: int, data: Output[Dataset]) -> None:
    """Write points near a line.

    Args:
        rows: Number of points, at least 2.
        seed: The same seed gives the same points.
        data: CSV with the columns x and y.
    """
    write_data(data.path, rows, seed)


@dsl.component(
    base_image=IMAGE,
    install_kfp_package=False,
    additional_funcs=[fit_line],
)
def train(data: Input[Dataset], model: Output[Model], metrics: Output[Metrics]) -> None:
    """Fit a line to points.

    Args:
        data: CSV with the columns x and y.
        model: The line's slope and intercept, JSON.
        metrics: The mean absolute error.
    """
    metrics.log_metric("mean_absolute_error", fit_line(data.path, model.path))


@dsl.pipeline(name="my-name")
def my_name(rows: int = 100, seed: int = 1) -> None:
    """Fit a line to points.

    Args:
        rows: Number of points, at least 2.
        seed: Seed of the points.
    """
    made = make_data(rows=rows, seed=seed)
    train(data=made.outputs["data"])
