"""The commands as a person gives them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from kfpkit.core import process
from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = {"OVERLAY": "kind-packages", "CONTEXT": "nowhere", "DRY_RUN": "1"}


def kit(*arguments: str, **env: str) -> process.Result:
    settings = {f"KFPKIT_{name}": text for name, text in env.items()}
    return process.query(
        [sys.executable, "-m", "kfpkit", *arguments], check=False, cwd=ROOT, env=settings
    )


def test_a_dry_run_prints_the_commands_and_writes_nothing(tmp_path: Path) -> None:
    done = kit("backup", "--backups", str(tmp_path / "backups"), **NOWHERE)
    assert done.returncode == 0, done.stderr
    assert "scale deployment/scheduled-workflow --replicas=0" in done.stderr
    assert "mariadb-dump" in done.stderr
    assert not (tmp_path / "backups").exists()


def test_a_dry_run_of_a_restore_prints_the_commands(backup: Path) -> None:
    done = kit("restore", "--backups", str(backup.parent), **NOWHERE)
    assert done.returncode == 0, done.stderr
    assert "scale deployment/ml-pipeline --replicas=0" in done.stderr
    assert "_loading" in done.stderr


def test_a_dry_run_needs_no_repository(tmp_path: Path) -> None:
    work = tmp_path / "backups"
    done = kit("backup", "--backups", "restic:away", "--work", str(work), **NOWHERE)
    assert done.returncode == 0, done.stderr
    assert f"restic --repo away backup --tag kfpkit {work}/objects {work}/TIME" in done.stderr
    done = kit("restore", "--backups", "restic:away", "--work", str(work), **NOWHERE)
    assert done.returncode == 0, done.stderr
    assert f"restic --repo away restore latest --target {work}/fetched-latest" in done.stderr
    assert not work.exists()


def test_a_damaged_backup_is_refused_in_one_line(backup: Path) -> None:
    (backup / "secrets.json").write_text("{}")
    for command in ("restore", "backup-verify"):
        done = kit(command, BACKUPS=str(backup), OVERLAY="kind-packages", CONTEXT="nowhere")
        assert done.returncode == 1
        assert "error: the backup" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_folder_without_backup_is_refused(tmp_path: Path) -> None:
    done = kit("backup-verify", BACKUPS=str(tmp_path))
    assert done.returncode == 1
    assert "there is no backup in" in done.stderr


def test_inventories_are_compared(tmp_path: Path) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text(json.dumps({"run": {"1": ["a"]}}))
    after.write_text(json.dumps({"run": {}}))
    same = kit("inventory-compare", str(before), str(before))
    assert same.returncode == 0
    assert "no difference in 1 run" in same.stdout
    other = kit("inventory-compare", str(before), str(after))
    assert other.returncode == 1
    assert other.stdout == "run 1: gone\n"
