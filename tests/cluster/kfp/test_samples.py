"""The sample pipelines on the cluster, against the same run on this machine."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core import process
from kfpkit.core.versions import ROOT
from kfpkit.kfp.run import Run as LocalRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore.store import S3Store

    from tests.support.runs import Run

pytestmark = [pytest.mark.kfp, pytest.mark.timeout(1200)]

#: What the runs of `again` wait for, and they.
FIRST, AGAIN = pytest.mark.turn(2), pytest.mark.turn(4)

FORMS = ("penguins", "penguins_yaml")
TASKS = {"generate-data", "transform", "train", "evaluate", "check-accuracy"}

#: The artifacts that have a file; the metrics are in the report too.
FILES = {
    *("generate-data/train", "generate-data/test"),
    *("transform/transformed_train", "transform/transformed_test", "transform/preprocessing"),
    "train/model",
    *("evaluate/report", "evaluate/model_card"),
}

PYTHON = re.compile(rb"(python(?: \| |</td><td>))[0-9.]+")


@pytest.fixture(scope="session")
def here(runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The SHA-256 of each artifact of the same run on this machine, by task and name."""
    folder = tmp_path_factory.mktemp("here")
    program = str(ROOT / ".venv/bin/kfpkit")
    values = [f"{name}={json.dumps(value)}" for name, value in parameters(runs["penguins"]).items()]
    process.query([program, "run", "penguins", *values, "--runs", str(folder)])
    (done,) = folder.iterdir()
    run = LocalRun.from_json((done / "run.json").read_text())
    return {
        f"{task.name}/{artifact.name}": sha256((done / artifact.path).read_bytes())
        for task in run.tasks
        for artifact in task.artifacts
        if artifact.path
    }


@pytest.fixture(scope="session")
def again(
    start: Callable[..., Run], compiled: Callable[..., Any], runs: dict[str, Run]
) -> dict[str, Run]:
    """Each sample once more, with the same parameters, after it has succeeded."""
    return {
        form: start(compiled(form), parameters(runs[form].finish()), cache=True) for form in FORMS
    }


def parameters(run: Run) -> dict[str, Any]:
    return dict(run.client.get_run(run.id).runtime_config.parameters)


def sha256(data: bytes) -> str:
    """Return the hash of an artifact, the Python version that reports mention left out."""
    return hashlib.sha256(PYTHON.sub(rb"\1", data)).hexdigest()


def cached(run: Run) -> dict[str, bool]:
    """Return for each task whether its outputs were taken from the cache."""
    return {
        task: outputs["cached-decision"] == "true"
        for task, outputs in run.drivers().items()
        if "cached-decision" in outputs
    }


@FIRST
@pytest.mark.parametrize("form", FORMS)
def test_a_sample_succeeds(runs: dict[str, Run], form: str) -> None:
    tasks = runs[form].finish().tasks()
    assert {name: tasks.get(name) for name in TASKS} == {name: {"SUCCEEDED"} for name in TASKS}


@FIRST
@pytest.mark.usefixtures("again")  # They run meanwhile.
@pytest.mark.parametrize("form", FORMS)
def test_its_artifacts_are_those_of_the_same_run_on_this_machine(
    runs: dict[str, Run], store: S3Store, here: dict[str, str], form: str
) -> None:
    run = runs[form].finish()
    there = {}
    root = f"v2/artifacts/{form.replace('_', '-')}/{run.id}/"
    for entry in store.list(root).collect():
        task, *_, name = entry["path"].removeprefix(root).split("/")
        there[f"{task}/{name}"] = sha256(bytes(store.get(entry["path"]).bytes()))
    assert {name: there.get(name) for name in FILES} == {name: here.get(name) for name in FILES}


@AGAIN
@pytest.mark.parametrize("form", FORMS)
def test_the_same_run_again_takes_every_task_from_the_cache(
    runs: dict[str, Run], again: dict[str, Run], form: str
) -> None:
    assert cached(runs[form].finish()) == dict.fromkeys(TASKS, False)
    assert cached(again[form].finish()) == dict.fromkeys(TASKS, True)
