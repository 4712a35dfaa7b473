"""A driver's command line, and what its end says."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.warm import drive
from kfpkit.warm.drive import Job

if TYPE_CHECKING:
    from pathlib import Path

#: Stands in for KFP's driver: writes its arguments where its outputs go, then does as it is told.
PROGRAM = """#!/usr/bin/env python3
import json, os, pathlib, sys, time
pairs = dict(zip(sys.argv[1::2], sys.argv[2::2]))
print("a line of the log", os.environ["KFP_POD_NAME"], flush=True)
if pairs["--task"] == "hang":
    time.sleep(60)
if pairs["--task"].startswith("fail:"):
    print("F1128 12:00:00.000000 7 main.go:79] " + pairs["--task"][5:], file=sys.stderr)
    sys.exit(1)
path = pathlib.Path(pairs["--pod_spec_patch_path"])
path.parent.mkdir(parents=True, exist_ok=True)
line = ["/launch", "--mlmd_server_address", "127.0.0.1"]
line += ["--mlmd_server_port", pairs["--mlmd_server_port"]]
line += ["--", "--mlmd_server_address", "127.0.0.1", "{{workflow.status}}"]
path.write_text(json.dumps({"containers": [{"command": line}], "seen": pairs}))
"""

ARGS = [
    *("--run_name", "{{workflow.name}}", "--run_id", "{{workflow.labels.id}}"),
    *("--component", "{{inputs.parameters.component}}", "--task", "{{inputs.parameters.task}}"),
    *("--pod_spec_patch_path", "{{outputs.parameters.pod-spec-patch.path}}"),
]


def job(task: str = "", args: list[str] = ARGS) -> Job:
    workflow = {
        "metadata": {"name": "w-1", "uid": "u", "namespace": "n", "labels": {"id": "7"}},
        "spec": {"arguments": {"parameters": [{"name": "c", "value": '{"{{": 1}'}]}},
    }
    node = {
        "id": "w-1-5",
        "templateName": "system-container-driver",
        "inputs": {
            "parameters": [
                {"name": "component", "value": "{{workflow.parameters.c}}"},
                {"name": "task", "value": task},
            ]
        },
    }
    outputs = {"pod-spec-patch": "", "cached-decision": "false", "none": None}
    command = {"args": args, "env": {"KFP_POD_NAME": "$(metadata.name)"}, "outputs": outputs}
    return Job(workflow, node, command)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "driver"
    path.write_text(PROGRAM)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(drive, "DRIVER", path)
    return path


def patch(outcome: drive.Outcome) -> Any:
    assert outcome.outputs is not None
    return json.loads(outcome.outputs["pod-spec-patch"])


@pytest.mark.usefixtures("program")
def test_the_driver_gets_what_its_pod_would_and_its_outputs_have_defaults() -> None:
    outcome = drive.run(job("t"), 99, lambda: "")
    seen = patch(outcome)["seen"]
    assert seen["--run_name"] == "w-1"
    assert seen["--run_id"] == "7"
    assert seen["--component"] == '{"{{": 1}'
    assert outcome.outputs is not None
    assert outcome.outputs["cached-decision"] == "false"
    assert outcome.outputs["none"] == ""
    assert outcome.log == b"a line of the log w-1-system-container-driver-5\n"


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(
    ("more", "address"),
    [([], ""), (["--mlmd_server_address", "m", "--mlmd_server_port", "1"], "m")],
)
def test_the_step_gets_the_metadata_server_of_the_installation(
    more: list[str], address: str
) -> None:
    outcome = drive.run(job("t", ARGS + more), 99, lambda: "")
    line = patch(outcome)["containers"][0]["command"]
    assert line[2] == address
    # What follows is the user's own.
    assert line[6:] == ["--mlmd_server_address", "127.0.0.1", "{{workflow.status}}"]
    assert outcome.outputs is not None
    assert "{{" not in outcome.outputs["pod-spec-patch"]


@pytest.mark.usefixtures("program")
def test_no_argument_makes_the_driver_read_a_file() -> None:
    for line in (["--component", "@/etc/hostname"], ["--component=@/etc/hostname", "x"]):
        outcome = drive.run(job("t", ARGS + line), 99, lambda: "")
        assert outcome.outputs is None
        assert "names a file" in outcome.reason
    named = ["--pipeline_name", "@me", *ARGS]
    assert drive.run(job("t", named), 99, lambda: "").outputs


@pytest.mark.usefixtures("program")
def test_a_graph_that_is_too_long_for_an_argument_is_in_a_file_where_the_driver_reads_one() -> None:
    line = [*ARGS[:4], "--component", "x" * 200_000, *ARGS[6:]]
    told = ["--mlmd_server_address", "m", "--mlmd_server_port", "1"]
    assert drive.run(job("t", line), 99, lambda: "").outputs is None
    assert patch(drive.run(job("t", line + told), 99, lambda: ""))["seen"]["--component"][0] == "@"


@pytest.mark.usefixtures("program")
def test_what_stands_in_the_way_ends_a_driver() -> None:
    outcome = drive.run(job("hang"), 99, lambda: "metadata: it is away")
    assert outcome.outputs is None
    assert (outcome.away, outcome.reason) == ("metadata", "metadata: it is away")


@pytest.mark.usefixtures("program")
def test_a_failure_is_told_by_its_last_line() -> None:
    outcome = drive.run(job("fail:KFP driver: no such input"), 99, lambda: "")
    assert outcome.outputs is None
    assert (outcome.away, outcome.reason) == ("", "KFP driver: no such input")
    assert b"a line of the log" in outcome.log


@pytest.mark.usefixtures("program")
def test_an_argument_that_is_too_long_is_a_failure() -> None:
    outcome = drive.run(job("x" * 200_000), 99, lambda: "")
    assert "too long" in outcome.reason
    assert not outcome.away


@pytest.mark.parametrize(
    ("line", "away"),
    [
        (
            "failed PutExecution: rpc error: code = Unavailable desc = connection error: desc = "
            '"transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"',
            "metadata",
        ),
        (
            "failed to get cache: rpc error: code = Unavailable desc = no healthy upstream",
            "the API server",
        ),
        (
            'failed to get configmap: Get "https://10.96.0.1:443/api/v1": dial tcp: i/o timeout',
            "the Kubernetes API",
        ),
        (
            "PutExecution: rpc error: code = Internal desc = mysql_query failed: errno: 2013, "
            "error: Lost connection to server during query",
            "metadata",
        ),
        ("resolving input parameter: key not found", ""),
        ("rpc error: code = AlreadyExists desc = Duplicate entry", ""),
        ("rpc error: code = InvalidArgument desc = no such type: timeout", ""),
    ],
)
def test_a_part_that_is_away_is_told_from_a_fault(line: str, away: str) -> None:
    log = f"I1128 12:00:00.000000 7 x.go:1] before\nF1128 12:00:00.000000 7 main.go:79] {line}\n"
    outcome = drive.failed(log, 1)
    assert outcome.away == away
    assert outcome.reason == line


def test_a_driver_that_was_killed_is_tried_again() -> None:
    assert drive.failed("", -9).away
    assert drive.failed("", 1).reason == "exit code 1, without a word"
