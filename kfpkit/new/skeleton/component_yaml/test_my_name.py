"""The component's program as it stands in its file, and what KFP makes of the file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kfp.components import load_component_from_text

TEXT = Path(__file__).with_name("component.yaml").read_text()


def run(text, folder):
    """Run the program with the values of its `args` in their order."""
    python, *command = yaml.safe_load(TEXT)["implementation"]["container"]["command"]
    assert python == "python3"
    metrics = {"uri": "s3://bucket/metrics"}  # KFP 2.14 gives no name
    outputs = {"artifacts": {"metrics": {"artifacts": [metrics]}}}
    given = json.dumps({"outputs": outputs | {"outputFile": str(folder / "said")}})
    arguments = [text, str(folder / "counts"), str(folder / "total"), given]
    words = [sys.executable, *command, *arguments]
    subprocess.run(words, check=True, text=True, stderr=subprocess.PIPE)


def test_words_are_counted(tmp_path):
    run("to be or not to be", tmp_path)
    counts = json.loads((tmp_path / "counts").read_text())
    assert counts == {"to": 2, "be": 2, "or": 1, "not": 1}
    assert (tmp_path / "total").read_text() == "6"
    said = json.loads((tmp_path / "said").read_text())
    (metrics,) = said["artifacts"]["metrics"]["artifacts"]
    assert metrics["metadata"] == {"words": 6, "different_words": 4}


def test_a_text_without_a_word_is_refused(tmp_path):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(" ", tmp_path)
    assert "at least one" in failed.value.stderr


def test_what_kfp_makes_of_the_file():
    spec = load_component_from_text(TEXT).component_spec
    assert {name: one.type for name, one in spec.inputs.items()} == {"text": "String"}
    assert {name: one.type for name, one in spec.outputs.items()} == {
        "counts": "system.Dataset@0.0.1",
        "metrics": "system.Metrics@0.0.1",
        "total": "Integer",
    }
