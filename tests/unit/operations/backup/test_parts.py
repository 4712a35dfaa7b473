"""What is held, by whom, and started again."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.cli import backup as commands
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import target
from kfpkit.kfp.target import Target
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import journal
from kfpkit.operations.backup import create, parts, restore
from kfpkit.operations.backup.parts import HELD, SCHEDULER, WRITERS
from kfpkit.operations.journal import Journal, Phase

if TYPE_CHECKING:
    from pathlib import Path

TARGET = Target("kind-packages", "nowhere", "kubectl")


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """How many pods each Deployment that is held had."""
    there: dict[str, str] = {}
    monkeypatch.setattr(parts, "held", lambda _: there)
    return there


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that change something, in order."""
    ran: list[str] = []
    monkeypatch.setattr(Target, "run", lambda _, *words, **__: ran.append(" ".join(words)))
    return ran


def test_a_backup_starts_only_what_it_holds(
    there: dict[str, str], ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "stop", lambda *_: None)
    with parts.stopped(TARGET, SCHEDULER):
        there |= dict.fromkeys(WRITERS, "1")  # A restore began meanwhile.
    assert ran == [
        "scale deployment/scheduled-workflow --replicas=1",
        f"annotate deployment/scheduled-workflow {HELD}-",
    ]


@pytest.mark.parametrize(("names", "refused"), [(WRITERS, True), (SCHEDULER, False)])
def test_a_backup_begins_after_a_killed_backup_but_not_in_a_restore(
    there: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    names: tuple[str, ...],
    refused: bool,
) -> None:
    class BegunError(Exception):
        pass

    def reached(_: Target) -> Any:
        raise BegunError

    there |= dict.fromkeys(names, "1")
    monkeypatch.setattr(lifecycle, "require_ready", lambda *_, **__: None)
    monkeypatch.setattr(create, "reached", reached)
    with pytest.raises(BadInputError if refused else BegunError) as raised:
        create.make(TARGET, tmp_path / "backups", wait=0)
    if refused:
        assert "held by a backup or a restore" in str(raised.value)
        assert "scheduled-workflow" not in str(raised.value)
        assert not (tmp_path / "backups").exists()


@pytest.mark.parametrize("phase", Phase)
def test_the_parts_that_a_rollback_holds_are_not_started(
    there: dict[str, str], ran: list[str], monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    there |= dict.fromkeys(WRITERS, "1")
    monkeypatch.setattr(target, "choose", lambda *_, **__: TARGET)
    monkeypatch.setattr(journal, "read", lambda _: Journal("a", "b", {}, "t", phase))
    monkeypatch.setattr(restore, "under_way", lambda _: None)
    refused = phase is Phase.ROLLBACK
    with pytest.raises(BadInputError, match="a rollback is") if refused else nullcontext():
        commands.resume()
    assert bool(ran) is not refused
