"""What is held, by whom, and started again."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from kfpkit.core.errors import KitError
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import lock
from kfpkit.operations.backup import create, holding, restore
from kfpkit.operations.backup.holding import SCHEDULER, WRITERS
from kfpkit.operations.lock import HELD, Operation
from tests.support.fake_cluster import Cluster, cluster

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def there() -> Cluster:
    """An installation whose parts are stopped by a backup."""
    there = cluster()
    hold(there, SCHEDULER)
    return there


def hold(there: Cluster, names: tuple[str, ...]) -> None:
    there.state.deployments = [
        {"metadata": {"name": name, "annotations": {HELD: "1"}}, "spec": {}} for name in names
    ]


def test_a_backup_starts_only_what_it_holds(
    there: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "stop", lambda *_: None)
    with lock.held(there, Operation.BACKUP) as mine, holding.stopped(there, SCHEDULER, mine):
        hold(there, WRITERS)
        assert mine.record.again == "make backup-resume"
    assert there.state.ran == [
        "scale deployment/scheduled-workflow --replicas=1",
        f"annotate deployment/scheduled-workflow {HELD}-",
    ]


def test_a_backup_that_was_taken_over_starts_nothing(
    there: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "stop", lambda *_: None)

    def work() -> None:
        with lock.held(there, Operation.BACKUP) as mine, holding.stopped(there, SCHEDULER, mine):
            there.state.clock += int(lock.GONE)
            lock._take(there, Operation.RESTORE).note("brings databases")

    with pytest.raises(KitError, match=r"backup gave no sign of life .* restore is under way"):
        work()
    assert there.state.ran == []


def test_a_backup_that_fails_in_the_middle_leaves_nothing(
    there: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class BegunError(Exception):
        pass

    def drain(*_: object) -> None:
        raise BegunError

    monkeypatch.setattr(lifecycle, "require_ready", lambda *_, **__: None)
    monkeypatch.setattr(holding, "stop", lambda *_: None)
    monkeypatch.setattr(create, "reached", lambda _: nullcontext())
    monkeypatch.setattr(create, "drain", drain)
    with pytest.raises(BegunError):
        create.make(there, tmp_path / "backups", wait=0)
    assert there.state.configmaps == {}
    assert f"annotate deployment/scheduled-workflow {HELD}-" in there.state.ran


def test_what_a_killed_backup_stopped_is_started_again(there: Cluster) -> None:
    assert restore.resume(there) == list(SCHEDULER)
    assert there.state.configmaps == {}


def test_what_an_overlay_does_not_have_is_not_stopped() -> None:
    there = cluster()
    names = [name for name in WRITERS if name != "warm-driver"]
    there.state.deployments = [{"metadata": {"name": name}, "spec": {}} for name in names]
    holding.stop(there, WRITERS)
    scaled = [words.split()[1] for words in there.state.ran if words.startswith("scale")]
    assert scaled == [f"deployment/{name}" for name in names]
