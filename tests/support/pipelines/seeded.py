"""What a seed decides, in every form that a run keeps: metrics, a curve, files, values."""

from kfp import dsl

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def draw(
    seed: int,
    table: dsl.Output[dsl.Dataset],
    folder: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    matrix: dsl.Output[dsl.ClassificationMetrics],
) -> list[int]:
    import random
    from pathlib import Path

    chance = random.Random(seed)
    numbers = [chance.randrange(100) for _ in range(3)]
    with open(table.path, "w") as file:
        file.write("\n".join(map(str, numbers)))
    table.metadata["é"] = "ü"
    for name in ("a", "b c"):
        place = Path(folder.path) / name / "file"
        place.parent.mkdir(parents=True)
        place.write_text(name)
    metrics.log_metric("accuracy", chance.random())
    metrics.log_metric("rows", len(numbers))
    matrix.log_confusion_matrix(["x", "y"], [[numbers[0], 1], [2, numbers[1]]])
    matrix.log_roc_curve([0.0, 0.5, 1.0], [0.0, 0.75, 1.0], [1.0, 0.5, 0.0])
    return numbers


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def square(number: int) -> int:
    return number * number


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def count(table: dsl.Input[dsl.Dataset]) -> int:
    with open(table.path) as file:
        return len(file.readlines())


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def stop(rows: int) -> None:
    raise ValueError(f"{rows} rows are too few")


@dsl.pipeline(name="seeded")
def seeded(seed: int = 42, fail: bool = False) -> None:
    """Draw numbers."""
    drawn = draw(seed=seed)
    with dsl.ParallelFor([2, 3], parallelism=1) as number:
        square(number=number)
    counted = count(table=drawn.outputs["table"])
    with dsl.If(fail == True):  # noqa: E712 - kfp reads it
        stop(rows=counted.output)
