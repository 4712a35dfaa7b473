"""The rows of a pod's log: whose they are. Logs are as KFP 2.14.3 writes them."""

from __future__ import annotations

import pytest

from kfpkit.kfp.log import SHOWN_ROWS, read
from tests.support.recorded_runs import FATAL, LAUNCHER, TRACEBACK, fatal


def test_the_last_traceback_without_the_launchers_own_lines() -> None:
    log = read(LAUNCHER + "reading\n" + TRACEBACK + LAUNCHER + TRACEBACK + LAUNCHER + FATAL)
    assert log.excerpt == TRACEBACK.rstrip()
    assert (log.last, log.of_step) == ("ValueError: too low", True)


def test_the_last_rows_where_there_is_no_traceback() -> None:
    rows = [f"row {number}" for number in range(SHOWN_ROWS + 5)]
    log = read(LAUNCHER + "\n".join(rows) + "\n" + FATAL)
    assert log.excerpt.splitlines() == rows[5:]


@pytest.mark.parametrize(
    ("end", "message", "told"),
    [
        ("exit status 3", "Error (exit code 1)", "exit code 3"),
        ("exit status 1", "Error (exit code 1)", ""),
        ("signal: killed", "Error (exit code 1)", "signal: killed"),
        ("signal: aborted (core dumped)", "Error (exit code 1)", "signal: aborted"),
        ("", "main: Error (exit code 5)", "exit code 5"),
        ("", "", ""),
    ],
)
def test_how_a_steps_program_ended(end: str, message: str, told: str) -> None:
    log = read("bye\n" + (fatal(f"failed to execute component: {end}") if end else ""))
    assert (log.end(message), log.of_step) == (told, True)


@pytest.mark.parametrize(
    "error",
    [
        'failed to execute component: failed to read output parameter name="n" type='
        '"STRING" path="/tmp/n": open /tmp/n: no such file or directory',
        "failed to execute component: rpc error: code = ResourceExhausted",
    ],
)
def test_the_launchers_error_where_the_step_itself_ended_well(error: str) -> None:
    log = read("reading\n" + LAUNCHER + fatal(error))
    assert (log.error, log.excerpt, log.of_step) == (error, error, False)


@pytest.mark.parametrize(
    "head",
    [
        "I1124 12:00:00.000001      17 driver.go:1] input:{",
        "[KFP Executor 2026-11-24 12:00:00,784 INFO]: Got executor_input:\n{",
    ],
)
def test_what_kfp_prints_in_several_rows_is_not_the_steps(head: str) -> None:
    loading = "[KFP Executor 2026-11-24 12:00:00,761 INFO]: Loading KFP component\n"
    given = loading + head + '\n  "a": {\n    "b": 1\n  }\n}\n'
    assert read(given + "bye\n" + FATAL).own == ("bye",)


@pytest.mark.parametrize(
    "row",
    [
        'time="2026-11-24T12:00:00Z" level=info msg="sub-process exited" argo=true',
        "time=2026-11-24T12:00:00Z level=INFO msg=exited argo=true",
        "Error: exit status 1",
        "exit status 1",
    ],
)
def test_what_argos_executor_prints_is_not_the_steps(row: str) -> None:
    assert read(f"bye\n{row}\n").own == ("bye",)


def test_an_error_of_a_program_that_prints_as_kfp_does_is_the_steps() -> None:
    row = "E1124 12:00:00.000001      17 cuda_driver.cc:266] no device"
    assert (read(row).own, read(row).error) == ((row,), "")


def test_a_drivers_error_without_the_inputs_that_it_prints() -> None:
    called = "KFP driver: driver.Container(pipelineName=p, runID=1, task={a()}) failed: "
    assert read("{\n}\n" + fatal(called + "no input")).error == "KFP driver: no input"


@pytest.mark.parametrize(
    "row",
    [
        "exec /var/run/argo/argoexec: argument list too long",
        "Error: failed to start command: fork/exec /kfp-launcher/launch: argument list too long",
    ],
)
def test_what_argos_executor_could_not_start_is_an_error(row: str) -> None:
    assert (read(row).error, read(row).own) == (row, ())
