"""`kfpkit run` as a person calls it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from kfpkit.cli.ending import values_of
from kfpkit.core import process
from kfpkit.kfp.run import Parameter, Run, State

if TYPE_CHECKING:
    from pathlib import Path


def kfpkit(runs: Path, *arguments: str, dry_run: bool = False) -> process.Result:
    return process.query(
        [sys.executable, "-m", "kfpkit", "run", "--runs", str(runs), *arguments],
        env={"KFPKIT_DRY_RUN": "1" if dry_run else ""},
        check=False,
        timeout=600,
    )


def test_the_sample_reaches_its_accuracy_and_leaves_a_report(tmp_path: Path) -> None:
    done = kfpkit(tmp_path, "penguins")
    assert done.ok, done.stderr
    (folder,) = tmp_path.iterdir()
    run = Run.from_json((folder / "run.json").read_text())
    assert run.state is State.SUCCEEDED
    (accuracy,) = [
        artifact.metadata["accuracy"]
        for task in run.tasks
        for artifact in task.artifacts
        if artifact.type == "system.Metrics"
    ]
    assert accuracy >= 0.95
    assert re.search(rf"evaluate +accuracy +{accuracy!r}\n", done.stdout)
    assert f"report: {folder / 'report.html'}" in done.stdout
    html = (folder / "report.html").read_text()
    for part in ("Confusion matrix", "ROC curve", "Model card", '<iframe loading="lazy" sandbox'):
        assert part in html
    for task in run.tasks:
        assert f"▸ {task.name}: running" in done.stderr
        assert re.search(rf"✓ {task.name}: succeeded .+ s", done.stderr)


def test_a_failing_task_fails_the_command_and_still_leaves_a_report(tmp_path: Path) -> None:
    done = kfpkit(tmp_path, "penguins", "test_fraction=2")
    assert done.returncode == 1
    assert "✗ generate-data: failed" in done.stderr
    assert "error: task generate-data failed:" in done.stderr
    assert "test_fraction" in done.stderr.partition("generate-data failed:")[2]
    (folder,) = tmp_path.iterdir()
    run = Run.from_json((folder / "run.json").read_text())
    assert [task.state for task in run.tasks] == [State.FAILED] + [State.NOT_RUN] * 4
    assert "Task generate-data failed" in (folder / "report.html").read_text()


def test_a_dry_run_says_what_would_run_and_leaves_nothing(tmp_path: Path) -> None:
    done = kfpkit(tmp_path, "penguins", "seed=7", dry_run=True)
    assert done.ok
    assert "would run penguins on this machine in processes" in done.stderr
    assert "seed=7" in done.stderr
    assert not list(tmp_path.iterdir())


def test_what_a_cluster_would_evaluate_is_a_text_here(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from kfp import dsl\n"
        "@dsl.component(base_image='python:3.11.9')\n"
        "def show(text: str): print(text)\n"
        "@dsl.pipeline\n"
        "def mine(text: str = '{{workflow.name}}'): show(text=text)\n"
    )
    done = kfpkit(tmp_path / "runs", str(file), dry_run=True)
    assert done.ok, done.stderr
    assert "text={{workflow.name}}" in done.stderr


def test_parameters_are_told_as_they_are_given() -> None:
    assert values_of([]) == "no parameters"
    given = {"flag": True, "n": 1, "none": None, "s": "a b", "table": {"a": ["é", None]}}
    listed = [Parameter(name, "", value) for name, value in given.items()]
    assert values_of(listed) == 'flag=true n=1 s=a b table={"a": ["é", null]}'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["nope"], "there is no pipeline nope. Name a FILE.py", id="unknown pipeline"),
        pytest.param(["penguins", "sed=7"], "no parameter 'sed'. Accepted: ", id="unknown name"),
        pytest.param(["penguins", "seed=x"], "takes an integer, not 'x'", id="ill-typed value"),
        pytest.param(["penguins", "--target", "moon"], "no target 'moon'", id="unknown target"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = kfpkit(tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
