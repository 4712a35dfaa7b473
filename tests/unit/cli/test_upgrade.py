"""The commands as a person gives them, without a cluster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = {"OVERLAY": "kind-packages", "CONTEXT": "nowhere"}


def kit(*arguments: str, **env: str) -> process.Result:
    settings = {f"KFPKIT_{name}": text for name, text in env.items()}
    return process.query(
        [sys.executable, "-m", "kfpkit", *arguments], check=False, cwd=ROOT, env=settings
    )


def test_a_release_that_the_overlay_does_not_install_is_refused(tmp_path: Path) -> None:
    done = kit("upgrade", TO="2.17.0", BACKUPS=str(tmp_path / "backups"), **NOWHERE)
    assert done.returncode == 1
    assert "error: the overlay kind-packages installs 2.14.3, not 2.17.0" in done.stderr
    assert "OVERLAY=" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["upgrade", "rollback"])
@pytest.mark.parametrize("dry", ["0", "1"])
def test_without_a_cluster_there_is_one_error_and_nothing_is_written(
    command: str, dry: str, tmp_path: Path
) -> None:
    done = kit(command, BACKUPS=str(tmp_path / "backups"), DRY_RUN=dry, YES="1", **NOWHERE)
    assert done.returncode == 1
    assert done.stderr.count("error: ") >= 1
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["upgrade", "rollback"])
def test_an_overlay_that_is_not_there_is_refused(command: str) -> None:
    done = kit(command, OVERLAY="none", CONTEXT="nowhere")
    assert done.returncode == 1
    assert "no overlay 'none'" in done.stderr


@pytest.mark.parametrize("command", ["upgrade", "rollback"])
def test_a_repository_is_no_place_for_a_backup_to_go_back_to(command: str) -> None:
    done = kit(command, BACKUPS="restic:away", YES="1", **NOWHERE)
    assert done.returncode == 1
    assert "error: BACKUPS=restic:away is no folder" in done.stderr
