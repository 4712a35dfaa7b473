"""The sample pipeline again, from the components' YAML files: the same tasks and parameters."""

from kfp import dsl

from components.load import load
from pipelines.resources import limited

generate_data = load("generate_data")
transform = load("transform")
train = load("train")
evaluate = load("evaluate")
check_accuracy = load("check_accuracy")


@dsl.pipeline(name="penguins-yaml")
def penguins_yaml(
    test_fraction: float = 0.2,
    seed: int = 42,
    n_estimators: int = 100,
    max_depth: int = 0,
    min_samples_leaf: int = 1,
    min_accuracy: float = 0.9,
) -> None:
    """Classify penguins: generate data, transform, train, evaluate, check the accuracy.

    Args:
        test_fraction: Share of the rows that go to test, above 0 and below 1.
        seed: Seed of the split and of the model.
        n_estimators: Number of trees, at least 1.
        max_depth: Depth of a tree, at least 1; 0 sets no limit.
        min_samples_leaf: Rows that a leaf must hold, at least 1.
        min_accuracy: The run fails where the accuracy is lower; from 0 to 1.
    """
    data = limited(generate_data(test_fraction=test_fraction, seed=seed))
    transformed = limited(transform(train=data.outputs["train"], test=data.outputs["test"]))
    trained = limited(
        train(
            transformed_train=transformed.outputs["transformed_train"],
            n_estimators=n_estimators,
            max_depth=max_depth,
            min_samples_leaf=min_samples_leaf,
            seed=seed,
        )
    )
    evaluated = limited(
        evaluate(
            model=trained.outputs["model"],
            transformed_test=transformed.outputs["transformed_test"],
            preprocessing=transformed.outputs["preprocessing"],
        )
    )
    limited(check_accuracy(accuracy=evaluated.outputs["accuracy"], min_accuracy=min_accuracy))
