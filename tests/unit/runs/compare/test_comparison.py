"""What counts as a difference between runs."""

from __future__ import annotations

import io
import json
import shutil
from copy import deepcopy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from kfpkit.core.errors import BadInputError
from kfpkit.kfp.run import Artifact, Parameter, Run, State, Task
from kfpkit.runs.compare import shown
from kfpkit.runs.compare.comparison import Comparison, Section, compare
from kfpkit.runs.compare.sides import Side

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def base(run: Run, folder: Path) -> Side:
    (folder / "outputs/table 1.csv").write_text("a,b\n")
    return Side(run, folder)


def copy(base: Side, folder: Path) -> Side:
    """Return another run like one, in a folder of its own."""
    shutil.copytree(base.folder / "outputs", folder / "outputs")
    return Side(deepcopy(base.run), folder)


@pytest.fixture
def other(base: Side, tmp_path_factory: pytest.TempPathFactory) -> Side:
    return copy(base, tmp_path_factory.mktemp("other"))


def task(side: Side, name: str) -> Task:
    return next(task for task in side.run.tasks if task.name == name)


def differences(found: Comparison) -> list[tuple[str, str, str]]:
    return [
        (section.value, row.task, row.name)
        for section, rows in found.sections.items()
        for row in rows
        if row.differs and section.counts
    ]


def text(found: Comparison, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(shown.table(found))
    return file.getvalue()


def test_a_run_agrees_with_its_like(base: Side, other: Side) -> None:
    found = compare([base, other])
    assert found.agree
    assert found.sections[Section.ARTIFACTS][0].values[0].sha256
    assert "A and B agree: 3 parameters, 8 states, 4 metrics, 1 output value, 3 artifacts" in text(
        found
    )


def test_where_and_when_a_run_was_is_no_difference(base: Side, other: Side) -> None:
    run = other.run
    run.id, run.target, run.link, run.log = "4f1d", "kind", "http://x", ""
    run.pipeline_version = "sha256:other"
    run.started = run.created + timedelta(days=3)
    run.finished = run.started + timedelta(hours=1)
    for each in run.tasks:
        each.started, each.finished, each.cached = run.started, run.finished, True
        each.artifacts = [
            Artifact(**{**vars(artifact), "uri": f"minio://{artifact.name}"})
            for artifact in each.artifacts
        ]
    task(other, "data").artifacts[0].metadata["python"] = "3.12"
    found = compare([base, other])
    assert found.agree
    assert found.notes[0] == "They are runs of different versions of the pipeline"
    shown_text = text(found)
    assert "1 other metadata of artifacts differ, not counted: python" in shown_text
    assert "from the cache (not counted)" in shown_text


def plant_parameter(side: Side) -> None:
    side.run.parameters[0] = Parameter("seed", "NUMBER_INTEGER", 8, 42)


def plant_new_parameter(side: Side) -> None:
    side.run.parameters.append(Parameter("größe", "STRING", None))


def plant_metric(side: Side) -> None:
    task(side, "evaluate").artifacts[0].metadata["accuracy"] += 1e-12


def plant_nan(side: Side) -> None:
    task(side, "evaluate").artifacts[0].metadata["accuracy"] = "NaN"


def plant_count(side: Side) -> None:
    matrix = task(side, "evaluate").artifacts[1].metadata["confusionMatrix"]
    matrix["rows"][1]["row"][2] = 1


def plant_byte(side: Side) -> None:
    (side.folder / "outputs/table 1.csv").write_text("a,c\n")


def plant_output(side: Side) -> None:
    task(side, "data").outputs["rows"] = 4


def plant_lost_output(side: Side) -> None:
    del task(side, "data").outputs["rows"]


def plant_lost_artifact(side: Side) -> None:
    task(side, "evaluate").artifacts.pop()


def plant_type(side: Side) -> None:
    artifact = task(side, "data").artifacts[0]
    task(side, "data").artifacts[0] = Artifact(**{**vars(artifact), "type": "system.Model"})


def plant_state(side: Side) -> None:
    task(side, "extra").state = State.SUCCEEDED


def plant_lost_task(side: Side) -> None:
    side.run.tasks.remove(task(side, "train"))


def plant_end(side: Side) -> None:
    side.run.state = State.SUCCEEDED


@pytest.mark.parametrize(
    ("plant", "where"),
    [
        (plant_parameter, ("parameters", "", "seed")),
        (plant_new_parameter, ("parameters", "", "größe")),
        (plant_metric, ("metrics", "evaluate", "accuracy")),
        (plant_nan, ("metrics", "evaluate", "accuracy")),
        (plant_count, ("metrics", "evaluate", "curves.confusionMatrix.rows[1].row[2]")),
        (plant_byte, ("artifacts", "data", "table")),
        (plant_output, ("output values", "data", "rows")),
        (plant_lost_output, ("output values", "data", "rows")),
        (plant_lost_artifact, ("artifacts", "evaluate", "card")),
        (plant_type, ("artifacts", "data", "table")),
        (plant_state, ("states", "extra", "")),
        (plant_lost_task, ("states", "train", "")),
        (plant_end, ("states", "", "whole run")),
    ],
)
def test_a_planted_difference_is_found_alone_whichever_run_has_it(
    base: Side, other: Side, plant: Callable[[Side], None], where: tuple[str, str, str]
) -> None:
    plant(other)
    for sides in ([base, other], [other, base]):
        found = compare(sides)
        assert differences(found) == [where]
        assert not found.agree
        assert "≠" in text(found)
        assert "differ: 1 " in text(found)
        assert json.loads(json.dumps(shown.as_json(found)))["differences"] == 1


def test_the_tolerance_lets_metrics_pass_and_parameters_not(base: Side, other: Side) -> None:
    plant_metric(other)
    assert compare([base, other], tolerance=1e-9).agree
    other.run.parameters[0] = Parameter("seed", "NUMBER_DOUBLE", 7.0000001, 42)
    assert differences(compare([base, other], tolerance=0.5)) == [("parameters", "", "seed")]


def test_what_ml_metadata_has_rounded_agrees_with_all_digits(base: Side, other: Side) -> None:
    metrics = task(other, "evaluate").artifacts[0]
    task(base, "evaluate").artifacts[0].metadata["accuracy"] = 0.9855072463768116
    metrics.metadata["accuracy"] = 0.985507
    assert not compare([base, other]).agree
    metrics.rounded.append("accuracy")
    assert compare([base, other]).agree


def test_bytes_that_are_not_here_are_told_and_no_difference(base: Side, other: Side) -> None:
    (other.folder / "outputs/table 1.csv").unlink()
    found = compare([base, other])
    assert found.agree
    assert "The bytes of 1 of 3 artifacts are not in the folders" in found.notes[-1]
    assert "not here, 12,345 bytes" in text(found)
    artifact = task(other, "data").artifacts[0]
    task(other, "data").artifacts[0] = Artifact(**{**vars(artifact), "size": 12_346})
    assert differences(compare([base, other])) == [("artifacts", "data", "table")]


def test_bytes_may_be_left_out(base: Side, other: Side) -> None:
    plant_byte(other)
    found = compare([base, other], contents=False)
    assert found.agree
    assert Section.ARTIFACTS not in found.sections


def test_results_that_lack_for_another_state_are_not_counted_again(base: Side, other: Side) -> None:
    evaluate = task(other, "evaluate")
    evaluate.state, evaluate.artifacts = State.FAILED, []
    assert differences(compare([base, other])) == [("states", "evaluate", "")]
    assert differences(compare([other, base])) == [("states", "evaluate", "")]


def loop(rounds: int) -> Task:
    return Task(
        "for-loop-1/train",
        "train",
        State.SUCCEEDED,
        rounds=[
            Task(
                f"for-loop-1[{n}]/train",
                "train",
                State.SUCCEEDED,
                outputs={"loss": n / 7},
                artifacts=[Artifact("m", "system.Metrics", "", "", {"accuracy": n / 3})],
            )
            for n in range(rounds)
        ],
    )


def test_loops_of_other_lengths_differ_once_and_their_common_rounds_are_compared(
    base: Side, other: Side
) -> None:
    base.run.tasks.append(loop(3))
    other.run.tasks.append(loop(5))
    found = compare([base, other])
    assert differences(found) == [("states", "for-loop-1/train", "rounds")]
    other.run.tasks[-1].rounds[1].outputs["loss"] = 9
    assert differences(compare([base, other])) == [
        ("states", "for-loop-1/train", "rounds"),
        ("output values", "for-loop-1[1]/train", "loss"),
    ]


def test_many_rounds_stay_readable_in_a_terminal(base: Side, other: Side) -> None:
    base.run.tasks.append(loop(400))
    other.run.tasks.append(loop(400))
    agreeing = text(compare([base, other]))
    assert agreeing.count("\n") < 100
    assert "and 404 that agree" in agreeing
    for row in other.run.tasks[-1].rounds[:50]:
        row.outputs["loss"] = 10.5
    found = compare([base, other])
    assert len(found.differences) == 50
    assert "and 10 more that differ and 351 that agree" in text(found)
    assert len(shown.as_json(found)["sections"]["output values"]) == 401


def test_three_runs_have_the_first_for_their_measure(
    base: Side, other: Side, tmp_path_factory: pytest.TempPathFactory
) -> None:
    third = copy(base, tmp_path_factory.mktemp("third"))
    plant_parameter(third)
    found = compare([base, other, third])
    (row,) = found.differences
    assert shown.cells(Section.PARAMETERS, row) == ["7", "=", "8"]
    assert "A, B and C differ: 1 parameter" in text(found)
    values = shown.as_json(found)["sections"]["parameters"][0]["values"]
    assert values == {"A": 7, "B": 7, "C": 8}


@pytest.mark.parametrize("state", [State.RUNNING, State.PENDING])
def test_no_agreement_is_claimed_of_a_run_that_is_not_over(
    base: Side, other: Side, state: State
) -> None:
    base.run.state = other.run.state = state
    found = compare([base, other])
    assert not found.agree
    assert not found.differences
    assert f"A is not over: it is {state}" in found.notes
    assert "do not differ so far" in text(found)


def test_runs_of_other_pipelines_are_compared_and_told(base: Side, other: Side) -> None:
    other.run.pipeline = "other"
    other.run.tasks = [Task("quite-another", "x", State.SUCCEEDED)]
    found = compare([base, other])
    assert "They are runs of different pipelines" in found.notes
    assert {section for section, _, _ in differences(found)} == {"states"}
    assert len(differences(found)) == 8


def test_a_copy_of_a_run_is_told(base: Side, other: Side) -> None:
    assert compare([base, other]).notes == [
        "Some are the same run by their ID, from different places"
    ]


def test_runs_without_anything_agree(base: Side, other: Side) -> None:
    for side in (base, other):
        side.run.tasks, side.run.parameters = [], []
    assert compare([base, other]).agree


@pytest.mark.parametrize("count", [0, 1, 27])
def test_too_few_and_too_many_runs_are_refused(base: Side, count: int) -> None:
    with pytest.raises(BadInputError, match="Name two or more, up to 26"):
        compare([base] * count)


@pytest.mark.parametrize("tolerance", [-0.1, 1, float("nan"), float("inf")])
def test_a_tolerance_that_is_no_share_is_refused(base: Side, tolerance: float) -> None:
    with pytest.raises(BadInputError, match=r"TOLERANCE=.+ is none"):
        compare([base, base], tolerance=tolerance)


HOSTILE: Any = "\x1b[31m[bold]red[/bold]\nline\u202e"


def test_names_and_values_do_nothing_to_a_terminal(base: Side, other: Side) -> None:
    base.run.parameters.append(Parameter(HOSTILE, "STRING", HOSTILE))
    other.run.parameters.append(Parameter(HOSTILE, "STRING", "y" * 5000))
    said = text(compare([base, other]))
    assert "\x1b" not in said
    assert "[bold]" in said.replace("\n", "")
    assert len(said) < 10_000


@pytest.mark.parametrize("width", [80, 100])
def test_a_table_is_no_wider_than_the_terminal(base: Side, other: Side, width: int) -> None:
    plant_count(other)
    lines = text(compare([base, other]), width).splitlines()
    assert max(map(len, lines)) <= width
