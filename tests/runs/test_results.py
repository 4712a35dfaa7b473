"""Why a task on a cluster failed, out of a log in which KFP's launcher writes as well."""

from __future__ import annotations

from kfpkit.runs.local import ERROR_LINES
from kfpkit.runs.results import excerpt

LAUNCHER = "I1124 12:00:01.000001      17 launcher_v2.go:193] publish success.\n"
FATAL = (
    "F1124 12:00:02.000001      17 main.go:57] failed to execute component: exit status 1\n"
    "goroutine 1 [running]:\ngithub.com/golang/glog.Fatalf(...)\n"
    'time="2026-11-24T12:00:02 UTC" level=info msg="sub-process exited"\n'
    "Error: exit status 1\n"
)
TRACEBACK = "Traceback (most recent call last):\n  File x\nValueError: too low\n"


def test_the_last_traceback_without_the_launchers_own_lines() -> None:
    log = LAUNCHER + "reading\n" + TRACEBACK + LAUNCHER + TRACEBACK + LAUNCHER + FATAL
    assert excerpt(log, "Error (exit code 1)") == TRACEBACK.rstrip()


def test_the_last_lines_where_there_is_no_traceback() -> None:
    rows = [f"row {number}" for number in range(ERROR_LINES + 5)]
    log = LAUNCHER + "\n".join(rows) + "\n" + FATAL
    assert excerpt(log, "Error (exit code 1)").splitlines() == [*rows[5:], "exit code 1"]


def test_the_launchers_error_where_the_task_printed_nothing() -> None:
    assert excerpt(LAUNCHER + FATAL, "") == "failed to execute component: exit status 1"


def test_a_drivers_error_without_the_inputs_that_it_prints() -> None:
    assert excerpt("{\n}\n" + FATAL, "Error (exit code 1)", of_task=False) == (
        "failed to execute component: exit status 1"
    )


def test_what_argo_says_where_it_is_all_there_is() -> None:
    assert excerpt("", "Error (exit code 1)") == "Error (exit code 1)"


def test_what_argo_says_where_it_is_more_than_an_exit_code() -> None:
    assert excerpt("working\n", "OOMKilled (exit code 137)").splitlines() == [
        "working",
        "OOMKilled (exit code 137)",
    ]
