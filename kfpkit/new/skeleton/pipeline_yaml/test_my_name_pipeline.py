"""The pipeline as it is compiled: what a cluster and Vertex AI get."""

import runpy
from pathlib import Path

import pytest
import yaml
from kfp.compiler import Compiler

MODULE = runpy.run_path(str(Path(__file__).with_name("pipeline.py")))


@pytest.fixture
def compiled(tmp_path):
    file = tmp_path / "pipeline.yaml"
    Compiler().compile(MODULE["my_name"], str(file))
    return yaml.safe_load(file.read_text())


def test_the_tasks_and_what_they_wait_for(compiled):
    tasks = compiled["root"]["dag"]["tasks"]
    waits = {name: task.get("dependentTasks", []) for name, task in tasks.items()}
    assert waits == {"make-data": [], "train": ["make-data"]}


def test_the_parameters_have_defaults(compiled):
    parameters = compiled["root"]["inputDefinitions"]["parameters"]
    defaults = {name: one["defaultValue"] for name, one in parameters.items()}
    assert defaults == {"rows": 100, "seed": 1}


def test_every_task_runs_in_one_image(compiled):
    executors = compiled["deploymentSpec"]["executors"].values()
    assert len({one["container"]["image"] for one in executors}) == 1
