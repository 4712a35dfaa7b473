"""The steps' programs as they stand in the YAML files, without kfp."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


def run(component, *arguments):
    """Run a component's program with the values of its `args` in their order."""
    text = Path(__file__).with_name(f"{component}.yaml").read_text()
    python, *command = yaml.safe_load(text)["implementation"]["container"]["command"]
    assert python == "python3"
    words = [sys.executable, *command, *map(str, arguments)]
    subprocess.run(words, check=True, text=True, stderr=subprocess.PIPE)


def test_the_line_that_the_points_are_near_is_found(tmp_path):
    data, model, said = (tmp_path / name for name in ("data", "model", "said"))
    metrics = {"uri": "s3://bucket/metrics"}  # KFP 2.14 gives no name
    outputs = {"artifacts": {"metrics": {"artifacts": [metrics]}}}
    given = json.dumps({"outputs": outputs | {"outputFile": str(said)}})
    run("make_data", data, 100, 1)
    run("train", data, model, given)
    assert json.loads(model.read_text())["slope"] == pytest.approx(2, abs=0.1)
    (written,) = json.loads(said.read_text())["artifacts"]["metrics"]["artifacts"]
    assert 0 < written["metadata"]["mean_absolute_error"] < 2


def test_one_seed_gives_one_file(tmp_path):
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    run("make_data", first, 10, 1)
    run("make_data", second, 10, 1)
    run("make_data", other, 10, 2)
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()


def test_one_point_is_no_line(tmp_path):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run("make_data", tmp_path / "data", 1, 1)
    assert "at least 2" in failed.value.stderr
