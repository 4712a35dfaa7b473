"""A holder that is killed for real, and told from one that lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kfpkit.operations import lock, rotate
from kfpkit.operations.backup import create, holding, restore
from kfpkit.operations.lock import BusyError, Operation
from tests.support.backup_runs import gone, killed

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kfp.target import Target


@pytest.mark.kfp
@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_killed_backup_is_told_from_one_that_is_at_work(target: Target, tmp_path: Path) -> None:
    with lock.held(target, Operation.PRUNE):
        found = lock.read(target)
        assert found
        assert found.alive
    assert lock.read(target) is None

    killed(
        target, "scale deployment/scheduled-workflow --replicas=0", "backup", "--to", f"{tmp_path}"
    )
    # Nobody has been told yet, so it may be at work.
    with pytest.raises(BusyError, match="backup is under way"):
        create.make(target, tmp_path, wait=0)
    gone(target)
    with pytest.raises(BusyError, match="make backup-resume goes on with it"):
        rotate.rotate(target, timeout=1, despite_runs=True)
    assert restore.resume(target) == list(holding.SCHEDULER)
    assert lock.read(target) is None
