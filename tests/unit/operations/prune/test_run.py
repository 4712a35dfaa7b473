"""The answers of the database as facts."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from obstore.store import MemoryStore

from kfpkit.core.errors import BadInputError
from kfpkit.kfp import object_store
from kfpkit.kfp.database import Database
from kfpkit.operations import installation as lifecycle
from kfpkit.operations.backup.parts import HELD
from kfpkit.operations.prune import run
from kfpkit.operations.prune.plan import DAY, Artifact, Folder, Rule, Run
from kfpkit.operations.prune.run import facts_of
from tests.support.outside import target

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


def test_a_dry_run_asks_no_database_outside_the_cluster_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kfpkit.core.process._dry_run", True)
    monkeypatch.setattr(lifecycle, "require_ready", lambda _: None)
    assert run.prune(target(), Rule(DAY), apply=False, confirm=lambda _: True).empty
    said = " ".join(capsys.readouterr().err.split())
    assert "a dry run makes no pod that asks a database outside the cluster: what would go" in said


def test_what_began_while_the_question_was_open_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifecycle, "require_ready", lambda _: None)
    monkeypatch.setattr(object_store, "opened", lambda _: nullcontext(MemoryStore()))
    monkeypatch.setattr(Database, "rows", lambda *_: ROWS)
    there = target()

    def confirm(_: str) -> bool:
        held = {"name": "scheduled-workflow", "annotations": {HELD: "1"}}
        there.there["deployments"] = [{"metadata": held}]
        return True

    with pytest.raises(BadInputError, match="held by a backup or a restore: scheduled-workflow"):
        run.prune(there, Rule(DAY), apply=True, confirm=confirm)
    # The pod that reaches the database, and nothing else.
    assert {arguments[0] for arguments in there.ran} == {"apply", "wait", "delete"}
