"""Commands on the Secrets of an installation."""

from __future__ import annotations

import typer

from kfpkit.cli.options import DespiteRuns, Timeout, Where, installation
from kfpkit.cli.targets import choose
from kfpkit.operations.rotate import rotate

app = typer.Typer()


@app.command()
@installation()
def rotate_secrets(where: Where, timeout: Timeout = 900, despite_runs: DespiteRuns = False) -> None:
    """Give database and object store new passwords and keys.

    Who uses them is restarted.
    """
    rotate(choose(where, reads=True), timeout=timeout, despite_runs=despite_runs)
