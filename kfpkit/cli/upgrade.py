"""Commands that bring an installation to another release or configuration, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kfpkit.cli.backup import Wait  # noqa: TC001 - typer reads them
from kfpkit.cli.install import Context, Overlay, Timeout, Yes  # noqa: TC001 - typer reads them

Backups = Annotated[
    Path, typer.Option("--backup", envvar="BACKUP", help="Folder of the backups.", file_okay=False)
]


def register(app: typer.Typer) -> None:
    """Add `kfpkit upgrade` and `rollback`."""
    app.command("upgrade")(upgrade)
    app.command("rollback")(rollback)


def upgrade(
    overlay: Overlay = "",
    context: Context = "",
    to: Annotated[
        str, typer.Option(envvar="TO", help="The release; default that of the overlay.")
    ] = "",
    backups: Backups = Path("backups"),
    wait: Wait = 600,
    yes: Yes = False,
    timeout: Timeout = 2400,
) -> None:
    """Bring an installation to the release and configuration of the overlay, or go on with it."""
    from kfpkit.kfp.target import choose
    from kfpkit.operations.upgrade import phases

    phases.upgrade(
        choose(overlay=overlay, context=context),
        to,
        backups,
        confirm=lambda text: yes or typer.confirm(text),
        wait=wait,
        timeout=timeout,
    )


def rollback(
    overlay: Overlay = "",
    context: Context = "",
    backups: Backups = Path("backups"),
    yes: Yes = False,
    timeout: Timeout = 2400,
) -> None:
    """Put back what was there before the last upgrade, whether it ended or not."""
    from kfpkit.kfp.target import choose
    from kfpkit.operations.upgrade import phases

    phases.rollback(
        choose(overlay=overlay, context=context),
        backups,
        confirm=lambda text: yes or typer.confirm(text),
        timeout=timeout,
    )
