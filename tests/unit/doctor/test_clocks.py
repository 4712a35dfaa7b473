"""Clocks that are wrong are told from those that were looked at a moment ago."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from kfpkit.core import process
from kfpkit.doctor import clocks
from kfpkit.doctor.clocks import judge
from kfpkit.kfp.target import Target

NOW = 1_800_000_000.0


def lease(node: str, seconds: float) -> dict[str, Any]:
    """Return the Lease of a node that told its time so many seconds from now."""
    told = datetime.fromtimestamp(NOW + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"metadata": {"name": node}, "spec": {"renewTime": told}}


def test_a_node_that_is_not_ready_has_told_no_time_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    def node(name: str, ready: str) -> dict[str, Any]:
        conditions = [{"type": "Ready", "status": ready}]
        return {"metadata": {"name": name}, "status": {"conditions": conditions}}

    answers = {
        "configmap": {"metadata": {"creationTimestamp": lease("", 0)["spec"]["renewTime"]}},
        "leases": {"items": [lease("a", 0), lease("b", -3600)]},
        "nodes": {"items": [node("a", "True"), node("b", "Unknown")]},
    }

    def query(argv: list[str], **_: Any) -> process.Result:
        return process.Result(0, json.dumps(next(answers[w] for w in argv if w in answers)), "")

    target = Target("kind", "no-such-context", "kubectl")
    assert target.namespace  # Rendered before nothing answers but the above.
    monkeypatch.setattr(process, "query", query)
    monkeypatch.setattr(time, "time", lambda: NOW)
    (found,) = clocks.clocks(target)
    assert (found.verdict, found.evidence) == ("ok", "of 2 clocks none is seen more than 30 s off")


@pytest.mark.parametrize("told", [0, -3, -10, -40, 20])
def test_clocks_that_agree_are_counted(told: float) -> None:
    (found,) = judge(2.0, [lease("a", told)], NOW)
    assert (found.verdict, found.evidence) == ("ok", "of 2 clocks none is seen more than 30 s off")


@pytest.mark.parametrize(
    ("ahead", "told", "verdict", "said"),
    [
        (0.0, 45, "warning", "node a is 45 s ahead of the Kubernetes API"),
        (0.0, -100, "warning", "node a is 80 s behind the Kubernetes API"),
        (0.0, 1000, "fault", "node a is 1000 s ahead of the Kubernetes API: object stores refuse"),
        (60.0, -60, "warning", "this machine is 60 s ahead of the Kubernetes API"),
        (-1200.0, 1200, "fault", "this machine is 1200 s behind the Kubernetes API: object stores"),
    ],
)
def test_a_wrong_clock_is_named(ahead: float, told: float, verdict: str, said: str) -> None:
    (found,) = judge(ahead, [lease("a", told)], NOW)
    assert found.verdict == verdict
    assert found.evidence.startswith(said)
    assert "timedatectl" in found.command
