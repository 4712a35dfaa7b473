"""Commands on backups."""

from __future__ import annotations

from pathlib import Path

import typer

from kfpkit.cli.options import Backups, Snapshot, Timeout, Wait, Where, Work, Yes, installation
from kfpkit.cli.targets import choose
from kfpkit.core import console, process
from kfpkit.operations.backup import create, manifest, remote
from kfpkit.operations.backup import restore as restoring
from kfpkit.operations.backup import verify as verifying

app = typer.Typer()


@app.command()
@installation()
def backup(
    where: Where, backups: Backups = "backups", work: Work = Path("backups"), wait: Wait = 600
) -> None:
    """Back up databases, artifacts, Secrets and recurring runs.

    Runs go on meanwhile.
    """
    away = remote.is_remote(backups)
    if away and not process.dry_run():
        remote.require(backups)
    made = create.make(choose(where, reads=True), work if away else Path(backups), wait=wait)
    if away:
        remote.push(backups, made)


@app.command("backup-verify")
def verify(
    backups: Backups = "backups", snapshot: Snapshot = "latest", work: Work = Path("backups")
) -> None:
    """Prove, without a cluster, that a backup can be put back."""
    verifying.verify(_backup(backups, snapshot, work))


@app.command("backup-resume")
@installation()
def resume(where: Where) -> None:
    """Start what a backup or restore was holding when it was killed."""
    if not restoring.resume(choose(where, reads=True)) and not process.dry_run():
        console.say("nothing is held")


@app.command()
@installation()
def restore(
    where: Where,
    backups: Backups = "backups",
    snapshot: Snapshot = "latest",
    work: Work = Path("backups"),
    yes: Yes = False,
    timeout: Timeout = 1800,
) -> None:
    """Put a backup back, into an empty cluster or over what is there."""
    target = choose(where, reads=True)
    restoring.restore(
        target,
        _backup(backups, snapshot, work),
        confirm=lambda text: yes or typer.confirm(text),
        timeout=timeout,
    )


def _backup(backups: str, snapshot: str, work: Path) -> Path:
    if remote.is_remote(backups):
        fetched = remote.fetch(backups, snapshot, work)
        if process.dry_run():
            raise typer.Exit  # What would follow depends on the backup.
        return fetched
    return manifest.find(Path(backups))
