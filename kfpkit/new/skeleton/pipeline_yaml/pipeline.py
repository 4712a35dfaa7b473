"""The pipeline my-name: it makes data, and fits a line to them."""

from pathlib import Path

from kfp import dsl
from kfp.components import load_component_from_file

HERE = Path(__file__).parent

make_data = load_component_from_file(str(HERE / "make_data.yaml"))
train = load_component_from_file(str(HERE / "train.yaml"))


@dsl.pipeline(name="my-name")
def my_name(rows: int = 100, seed: int = 1) -> None:
    """Fit a line to points.

    Args:
        rows: Number of points, at least 2.
        seed: Seed of the points.
    """
    made = make_data(rows=rows, seed=seed)
    train(data=made.outputs["data"])
