"""The command as a person gives it."""

from __future__ import annotations

import sys

import pytest

from kfpkit.core import process
from kfpkit.core.versions import ROOT

NOWHERE = {"OVERLAY": "kind-packages", "CONTEXT": "nowhere"}


def kit(**env: str) -> process.Result:
    argv = [sys.executable, "-m", "kfpkit", "prune"]
    settings = {f"KFPKIT_{name}": text for name, text in {**NOWHERE, **env}.items()}
    return process.query(argv, check=False, cwd=ROOT, env=settings)


@pytest.mark.parametrize("older_than", ["", "30", "a month"])
def test_a_rule_without_an_age_is_refused_in_one_line(older_than: str) -> None:
    done = kit(OLDER_THAN=older_than, APPLY="1", YES="1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Write OLDER_THAN=12h, 30d or 8w" in done.stderr


def test_a_number_of_runs_to_keep_is_one() -> None:
    assert kit(OLDER_THAN="30d", KEEP="-1").returncode == 2


def test_a_cluster_that_does_not_answer_is_named() -> None:
    done = kit(OLDER_THAN="30d", APPLY="1", YES="1")
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
