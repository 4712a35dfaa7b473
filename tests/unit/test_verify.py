"""`make verify` on stand-ins for its programs: what it runs, and that it tells what has failed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

#: Notes what it is called with, and fails where it is told to.
PROGRAM = """#!/bin/bash
line="${0##*/} $*"
echo "$line"
echo "$line" >>"$CALLS"
[[ "$line" != "$FAILING" ]]
"""

CHECKS = ["kfpkit cluster up", "make golden-check", "make lint"]
TESTS = [
    "make test PYTEST_ARGS=",
    "pytest --cluster -m kfp and not long",
    "pytest --cluster -m (cluster or docker) and not kfp and not long",
]


@pytest.mark.parametrize(
    ("failing", "told", "calls"),
    [
        ("", "verify: all passed", [*CHECKS, *TESTS]),
        (CHECKS[0], "verify: failed: cluster-up", CHECKS),
        (CHECKS[1], "verify: failed: golden-check", CHECKS),
        (CHECKS[2], "verify: failed: lint", CHECKS),
        (TESTS[0], "verify: failed: tests without a cluster", [*CHECKS, *TESTS]),
        (TESTS[1], "verify: failed: tests on Kubeflow Pipelines", [*CHECKS, *TESTS]),
        (TESTS[2], "verify: failed: tests on the cluster and Docker", [*CHECKS, *TESTS]),
    ],
)
def test_what_fails_is_told_by_its_name(
    tmp_path: Path, failing: str, told: str, calls: list[str]
) -> None:
    for name in ("make", "kfpkit", "pytest"):
        (tmp_path / name).write_text(PROGRAM)
        (tmp_path / name).chmod(0o755)
    done = process.query(
        [str(ROOT / "scripts/verify.sh"), str(tmp_path / "kfpkit"), str(tmp_path / "pytest")],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "CALLS": str(tmp_path / "calls"),
            "FAILING": failing,
        },
        check=False,
    )
    shown = (done.stdout + done.stderr).splitlines()
    assert told in shown, shown
    assert done.ok is not bool(failing)
    assert sorted((tmp_path / "calls").read_text().splitlines()) == sorted(calls)
    assert set(calls) <= set(shown)  # What goes on beside is shown too.
