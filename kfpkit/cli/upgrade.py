"""Commands that bring an installation to another release or configuration, and back."""

from __future__ import annotations

from pathlib import Path

import typer

from kfpkit.cli.options import Backups, Timeout, To, Wait, Where, Yes, installation
from kfpkit.cli.targets import choose
from kfpkit.core.errors import BadInputError
from kfpkit.operations.backup import remote
from kfpkit.operations.upgrade import phases

app = typer.Typer()


@app.command()
@installation()
def upgrade(
    where: Where,
    to: To = "",
    backups: Backups = "backups",
    wait: Wait = 600,
    yes: Yes = False,
    timeout: Timeout = 2400,
) -> None:
    """Bring an installation to another release, or go on with that.

    Also to another configuration of its release: what the overlay says.
    """
    phases.upgrade(
        choose(where, reads=True),
        to,
        _folder(backups),
        confirm=lambda text: yes or typer.confirm(text),
        wait=wait,
        timeout=timeout,
    )


@app.command()
@installation()
def rollback(
    where: Where, backups: Backups = "backups", yes: Yes = False, timeout: Timeout = 2400
) -> None:
    """Put back what was there before the last upgrade.

    Whether that ended or not.
    """
    phases.rollback(
        choose(where, reads=True),
        _folder(backups),
        confirm=lambda text: yes or typer.confirm(text),
        timeout=timeout,
    )


def _folder(backups: str) -> Path:
    if remote.is_remote(backups):
        raise BadInputError(
            f"BACKUPS={backups} is no folder, and an upgrade needs its backup on this machine",
            "Name a folder; make backup can send another backup to the repository before",
        )
    return Path(backups)
