"""The component: its function on files of this machine, and what it is compiled to."""

import json
import runpy
from pathlib import Path

import pytest
import yaml
from kfp.compiler import Compiler
from kfp.dsl import Dataset, Metrics

MODULE = runpy.run_path(str(Path(__file__).with_name("component.py")))
COMPONENT = MODULE["my_name"]


@pytest.fixture
def counts(tmp_path):
    return Dataset(uri=str(tmp_path / "counts"))


def test_words_are_counted(counts):
    metrics = Metrics()
    assert COMPONENT.python_func("to be or not to be", counts, metrics) == 6
    written = json.loads(Path(counts.path).read_text())
    assert written == {"to": 2, "be": 2, "or": 1, "not": 1}
    assert metrics.metadata == {"words": 6, "different_words": 4}


def test_a_text_without_a_word_is_refused(counts):
    with pytest.raises(ValueError, match="at least one"):
        COMPONENT.python_func(" ", counts, Metrics())


def test_the_task_runs_in_the_image(tmp_path):
    file = tmp_path / "component.yaml"
    Compiler().compile(COMPONENT, str(file))
    compiled = yaml.safe_load(file.read_text())
    (executor,) = compiled["deploymentSpec"]["executors"].values()
    assert executor["container"]["image"] == MODULE["IMAGE"]
