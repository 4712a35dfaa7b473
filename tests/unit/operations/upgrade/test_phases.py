"""What an upgrade and its way back look at before they change anything, and write down."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import obstore
import pytest

from kfpkit.core.errors import BadInputError, KitError
from kfpkit.kfp import object_store
from kfpkit.kfp.target import Target
from kfpkit.kfp.workflow import LOGS
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import journal as notes
from kfpkit.operations.backup import create, inventory, parts, restore
from kfpkit.operations.backup.manifest import NAME, OBJECTS, blob, digest, read
from kfpkit.operations.journal import Journal, Phase
from kfpkit.operations.upgrade import phases, plan
from tests.support.backups import ARTIFACTS

if TYPE_CHECKING:
    from pathlib import Path

    from obstore.store import MemoryStore

TARGET = Target("kind-packages", "nowhere", "kubectl")
PODS = {"ml-pipeline": 1, "scheduled-workflow": 1}


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that change something, in order."""
    done: list[str] = []
    monkeypatch.setattr(Target, "run", lambda _, *words, **__: done.append(" ".join(words)))
    return done


def noted(monkeypatch: pytest.MonkeyPatch, journal: Journal | None) -> None:
    monkeypatch.setattr(notes, "read", lambda _: journal)
    monkeypatch.setattr(restore, "under_way", lambda _: None)


def test_a_damaged_backup_is_found_before_a_rollback_changes_anything(
    done: list[str], backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted(monkeypatch, Journal("2.14.3", "2.14.3", PODS, "t", Phase.VERIFY, str(backup)))
    some = next(iter(read(backup).artifacts.values()))
    blob(backup.parent / OBJECTS, some.sha256).write_bytes(b"other")

    def confirm(_: str) -> bool:
        raise AssertionError("nothing is to be asked")

    with pytest.raises(KitError, match=some.sha256[:8]):
        phases.rollback(TARGET, backup.parent, confirm=confirm, timeout=1)
    assert done == []


def test_a_backup_that_begins_while_the_question_stands_is_in_the_way(
    done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted(monkeypatch, None)
    held: dict[str, str] = {}
    monkeypatch.setattr(lifecycle, "parts", lambda _: [])
    monkeypatch.setattr(phases, "installed", lambda *_: TARGET)
    monkeypatch.setattr(plan, "show", lambda *_: True)
    monkeypatch.setattr(phases, "_pods", lambda _: PODS)
    monkeypatch.setattr(parts, "held", lambda _: held)

    def confirm(_: str) -> bool:
        held["scheduled-workflow"] = "1"
        return True

    with pytest.raises(BadInputError, match="held by a backup or a restore: scheduled-workflow"):
        phases.upgrade(TARGET, "", tmp_path, confirm=confirm, wait=0, timeout=1)
    assert done == []


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.ROLLBACK])
def test_a_restore_that_is_not_at_its_end_is_in_the_way_both_ways(
    done: list[str], backup: Path, monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    noted(monkeypatch, Journal("2.14.3", "2.14.3", PODS, "t", phase, str(backup)))
    # Of the upgrade's own backup, but into what the upgrade has brought.
    state = {"backup": digest(backup / NAME).sha256, "folder": str(backup)}
    monkeypatch.setattr(restore, "under_way", lambda _: state)
    monkeypatch.setattr(lifecycle, "parts", lambda _: [])
    monkeypatch.setattr(parts, "held", lambda _: dict.fromkeys(parts.WRITERS, "1"))
    with pytest.raises(BadInputError, match="is not at its end"):
        phases.upgrade(TARGET, "", backup.parent, confirm=lambda _: True, wait=0, timeout=1)
    with pytest.raises(BadInputError, match="is not at its end"):
        phases.rollback(TARGET, backup.parent, confirm=lambda _: True, timeout=1)
    assert done == []


def test_a_rollback_goes_on_with_the_restore_that_it_began(
    done: list[str], backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted(monkeypatch, Journal("2.14.3", "2.14.3", PODS, "t", Phase.ROLLBACK, str(backup)))
    state = {"backup": digest(backup / NAME).sha256, "folder": str(backup)}
    monkeypatch.setattr(restore, "under_way", lambda _: state)
    monkeypatch.setattr(parts, "held", lambda _: {})
    monkeypatch.setattr(phases, "_put_back", lambda *_: done.append("put back"))
    monkeypatch.setattr(phases, "_scale", lambda *_: done.append("scale"))
    phases.rollback(TARGET, backup.parent, confirm=lambda _: True, timeout=1)
    assert done[1:3] == ["put back", "scale"]
    state["backup"] = "another"
    with pytest.raises(BadInputError, match="is not at its end"):
        phases.rollback(TARGET, backup.parent, confirm=lambda _: True, timeout=1)


@pytest.mark.parametrize(("running", "taken"), [(1, "anew"), (0, "before")])
def test_what_was_written_down_counts_only_from_when_the_server_was_stopped(
    done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running: int, taken: str
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    file = tmp_path / "inventory-t.json"
    file.write_text('"before"')
    monkeypatch.setattr(phases, "installed", lambda *_: TARGET)
    monkeypatch.setattr(phases, "_pods", lambda _: {**PODS, "ml-pipeline": running})
    monkeypatch.setattr(inventory, "take", lambda *_, **__: "anew")
    monkeypatch.setattr(lifecycle, "wait_until_ready", lambda *_, **__: None)
    monkeypatch.setattr(parts, "stop", lambda *_: None)
    monkeypatch.setattr(create, "make", lambda *_, **__: made)
    phases.Upgrade(TARGET, Journal("a", "b", PODS, "t"), tmp_path, 0, 1).backup()
    assert json.loads((made / phases.INVENTORY).read_text()) == taken
    assert not list(tmp_path.glob("*.json")) + list(tmp_path.glob("*.part"))
    assert done


def test_artifacts_are_read_back_and_logs_are_not(
    backup: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Any = lambda _: nullcontext(store)  # noqa: E731
    monkeypatch.setattr(object_store, "opened", opened)
    upgrade = phases.Upgrade(TARGET, Journal("a", "b", PODS, "t"), backup.parent, 0, 1)
    (log,) = (key for key in ARTIFACTS if key.startswith(LOGS))
    obstore.delete(store, log)
    upgrade._read_artifacts(backup)
    (model,) = (key for key in ARTIFACTS if key.endswith("model"))
    obstore.put(store, model, b"another model")
    with pytest.raises(KitError, match="is not as it was"):
        upgrade._read_artifacts(backup)
    obstore.delete(store, model)
    with pytest.raises(KitError, match=f"the object store refuses {model}"):
        upgrade._read_artifacts(backup)
