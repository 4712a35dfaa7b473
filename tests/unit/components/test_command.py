"""The command line: arguments from the signature, one line for each thing that is wrong."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from components import command
from components.generate_data.logic import generate_data
from kfpkit.core import process
from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def arguments(folder: Path, **changes: str) -> list[str]:
    given = {"train": f"{folder}/a/train", "test": f"{folder}/a/test"}
    given |= {"test-fraction": "0.2", "seed": "42"} | changes
    return [part for name, value in given.items() for part in (f"--{name}", value)]


def executor_input(folder: Path) -> dict[str, dict[str, object]]:
    artifacts = {
        name: {"artifacts": [{"name": name, "uri": f"s3://b/{name}", "type": {"schemaTitle": "x"}}]}
        for name in ("train", "test")
    }
    return {"outputs": {"artifacts": artifacts, "outputFile": f"{folder}/new/output.json"}}


def test_the_logic_is_called_and_its_metadata_handed_to_kfp(tmp_path: Path) -> None:
    given = executor_input(tmp_path)
    command.run(generate_data, [*arguments(tmp_path), "--executor-input", json.dumps(given)])
    written = json.loads((tmp_path / "new" / "output.json").read_text())
    assert set(written) == {"artifacts"}
    for name in ("train", "test"):
        [artifact] = written["artifacts"][name]["artifacts"]
        rows = (tmp_path / "a" / name).read_text().count("\n") - 1
        assert (artifact["name"], artifact["uri"]) == (name, f"s3://b/{name}")
        assert artifact["metadata"]["rows"] == rows
        assert "type" not in artifact


def test_it_works_without_kfp(tmp_path: Path) -> None:
    command.run(generate_data, arguments(tmp_path))
    assert (tmp_path / "a" / "train").exists()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_kfp_cannot_read_is_not_written(tmp_path: Path, number: float) -> None:
    def logic() -> dict[str, dict[str, object]]:
        return {"train": {"rows": number}}

    with pytest.raises(ValueError, match="JSON"):
        command.run(logic, ["--executor-input", json.dumps(executor_input(tmp_path))])
    assert not (tmp_path / "new" / "output.json").exists()


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"test-fraction": "1"}, 1, "error: test_fraction is 1. Give a share above 0"),
        ({"test-fraction": "much"}, 2, "argument --test-fraction: invalid float value: 'much'"),
        ({"seed": "4.5"}, 2, "argument --seed: invalid int value: '4.5'"),
        ({"colour": "red"}, 2, "unrecognized arguments: --colour red"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    code: int,
    message: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.run(generate_data, arguments(tmp_path, **changes))
    out, err = capsys.readouterr()
    assert ended.value.code == code
    assert message in err
    assert err.count("\n") == 1
    assert not out
    assert not (tmp_path / "a").exists()


def test_a_missing_argument_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.run(generate_data, arguments(tmp_path)[2:])
    assert "the following arguments are required: --train" in capsys.readouterr().err


def test_a_process_shows_no_traceback(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "components.transform"]
    for name in ("train", "test", "transformed-train", "transformed-test", "preprocessing"):
        argv += [f"--{name}", str(tmp_path / name)]
    done = process.query(argv, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: train cannot be read from"), done.stderr
