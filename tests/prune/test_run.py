"""The answers of the database as facts."""

from __future__ import annotations

from typing import Any

from kfpkit.prune.plan import Artifact, Folder, Run
from kfpkit.prune.run import facts_of

ROWS: list[list[Any]] = [
    ["run", "1", "first", "penguins-x", "FAILED", 0, "lab", "", 1_700_000_000],
    ["run", "2", "second", "penguins-y", "", 1, "lab", "uploaded", 1_700_000_000],
    ["cache", "1", 3],
    ["folder", "1", "minio://mlpipeline/v2/artifacts/penguins/1", 1_600_000_000],
    ["pipeline", "1", "penguins"],
    ["pipeline", "2", "penguins"],
    ["artifact", 7, "minio://mlpipeline/v2/artifacts/penguins/1/train/x/model", 0],
    ["artifact", 8, "minio://mlpipeline/v2/artifacts/penguins/1/train/x/card", 1],
    ["use", 7, "1"],
    ["use", 7, "2"],
]


def test_the_answers_become_facts() -> None:
    facts = facts_of(ROWS, "mlpipeline", {"key": 5})
    assert facts.runs == {
        "1": Run("1", "first", "penguins-x", "FAILED", False, "lab", "penguins", 1_700_000_000),
        "2": Run("2", "second", "penguins-y", "", True, "lab", "uploaded", 1_700_000_000),
    }
    assert facts.cached == {"1": 3}
    assert facts.folders["1"] == Folder("minio://mlpipeline/v2/artifacts/penguins/1", 1_600_000_000)
    assert facts.artifacts[0].runs == {"1", "2"}
    assert facts.artifacts[1] == Artifact(8, ROWS[7][2], True, frozenset())
    assert facts.objects == {"key": 5}


def test_an_empty_installation_has_no_facts() -> None:
    assert not facts_of([], "mlpipeline", {}).runs
