"""What an upgrade and its way back look at before they change anything, and write down."""

from __future__ import annotations

import json
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import obstore
import pytest

from kfpkit.core.errors import BadInputError, KitError
from kfpkit.kfp import object_store
from kfpkit.kfp.workflow import LOGS
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import journal as notes
from kfpkit.operations import lock
from kfpkit.operations.backup import create, holding, inventory
from kfpkit.operations.backup.manifest import NAME, OBJECTS, blob, digest, read
from kfpkit.operations.journal import Journal, Phase
from kfpkit.operations.lock import BusyError, Lock, Operation, Record
from kfpkit.operations.upgrade import phases, plan
from tests.support.backups import ARTIFACTS
from tests.support.fake_cluster import Cluster, cluster

if TYPE_CHECKING:
    from pathlib import Path

    from obstore.store import MemoryStore

PODS = {"ml-pipeline": 1, "scheduled-workflow": 1}


@pytest.fixture
def there() -> Cluster:
    return cluster()


def held(there: Cluster) -> Lock:
    return Lock(there, Operation.UPGRADE, Record(Operation.UPGRADE, "me"))


def test_a_damaged_backup_is_found_before_a_rollback_changes_anything(
    there: Cluster, backup: Path
) -> None:
    notes.write(there, Journal("2.14.3", "2.14.3", PODS, "t", Phase.VERIFY, str(backup)))
    some = next(iter(read(backup).artifacts.values()))
    blob(backup.parent / OBJECTS, some.sha256).write_bytes(b"other")

    def confirm(_: str) -> bool:
        raise AssertionError("nothing is to be asked")

    with pytest.raises(KitError, match=some.sha256[:8]):
        phases.rollback(there, backup.parent, confirm=confirm, timeout=1)
    assert there.state.ran == []


def test_nothing_begins_while_the_question_stands_and_no_leaves_nothing(
    there: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "components", lambda _: [])
    monkeypatch.setattr(phases, "installed", lambda *_: there)
    monkeypatch.setattr(plan, "show", lambda *_: True)

    def confirm(_: str) -> bool:
        with pytest.raises(BusyError, match="upgrade is under way"):
            lock._take(there, Operation.BACKUP)
        return False

    with pytest.raises(BadInputError, match="nothing was changed"):
        phases.upgrade(there, "", tmp_path, confirm=confirm, wait=0, timeout=1)
    assert there.state.ran == []
    assert there.state.configmaps == {}


def test_a_rollback_goes_on_with_the_restore_that_it_began(
    there: Cluster, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal("2.14.3", "2.14.3", PODS, "t", Phase.ROLLBACK, str(backup))
    monkeypatch.setattr(phases, "_put_back", lambda *_: there.state.ran.append("put back"))
    monkeypatch.setattr(phases, "_scale", lambda *_: there.state.ran.append("scale"))
    for known, refused in ((digest(backup / NAME).sha256, False), ("another", True)):
        notes.write(there, journal)
        with suppress(KeyboardInterrupt), lock.held(there, Operation.ROLLBACK) as mine:
            mine.note("restore", again="make rollback", backup=known, folder=str(backup))
            raise KeyboardInterrupt
        with pytest.raises(BadInputError, match="is not at its end") if refused else nullcontext():
            phases.rollback(there, backup.parent, confirm=lambda _: True, timeout=1)
        assert there.state.ran == ["put back", "scale"]
        assert (lock.NAME in there.state.configmaps) is refused


@pytest.mark.parametrize("folder", [True, False])
def test_an_upgrade_that_failed_is_gone_on_with_or_taken_back(
    there: Cluster, backup: Path, monkeypatch: pytest.MonkeyPatch, *, folder: bool
) -> None:
    phase = Phase.MIGRATE if folder else Phase.DRAIN
    journal = Journal("2.14.3", "2.14.3", PODS, "t", phase, str(backup))
    upgrade = phases.Upgrade(there, journal, backup.parent, 0, 1, held(there))

    def fail(*_: object) -> None:
        raise KitError("no")

    monkeypatch.setattr(phases.Upgrade, phase, fail)
    monkeypatch.setattr(phases, "_put_back", fail)
    monkeypatch.setattr(phases, "_scale", fail)
    with suppress(KitError), lock.held(there, Operation.UPGRADE) as mine:
        upgrade.lock = mine
        upgrade.go()
    assert (found := lock.read(there))
    assert (found.record.phase, found.do) == (
        phase,
        "make upgrade goes on with it; make rollback takes it back",
    )
    with pytest.raises(KitError):
        phases.rollback(there, backup.parent, confirm=lambda _: True, timeout=1)
    # What was begun to be taken back is not gone on with.
    assert (found := lock.read(there))
    assert found.do == "make rollback goes on with it"
    with pytest.raises(BusyError, match="rollback is not at its end"):
        lock.require(there, Operation.UPGRADE)


@pytest.mark.parametrize(("running", "taken"), [(1, "anew"), (0, "before")])
def test_what_was_written_down_counts_only_from_when_the_server_was_stopped(
    there: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running: int, taken: str
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    file = tmp_path / "inventory-t.json"
    file.write_text('"before"')
    monkeypatch.setattr(phases, "installed", lambda *_: there)
    monkeypatch.setattr(phases, "_pods", lambda _: {**PODS, "ml-pipeline": running})
    monkeypatch.setattr(inventory, "take", lambda *_, **__: "anew")
    monkeypatch.setattr(lifecycle, "wait_until_ready", lambda *_, **__: None)
    monkeypatch.setattr(holding, "stop", lambda *_: None)
    monkeypatch.setattr(create, "make", lambda *_, **__: made)
    journal = Journal("a", "b", PODS, "t")
    phases.Upgrade(there, journal, tmp_path, 0, 1, held(there)).backup()
    assert json.loads((made / phases.INVENTORY).read_text()) == taken
    assert not list(tmp_path.glob("*.json")) + list(tmp_path.glob("*.part"))
    assert there.state.ran


def test_artifacts_are_read_back_and_logs_are_not(
    there: Cluster, backup: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Any = lambda _: nullcontext(store)  # noqa: E731
    monkeypatch.setattr(object_store, "opened", opened)
    journal = Journal("a", "b", PODS, "t")
    upgrade = phases.Upgrade(there, journal, backup.parent, 0, 1, held(there))
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
