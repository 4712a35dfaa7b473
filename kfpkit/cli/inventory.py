"""Commands on inventories: what an installation holds."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from kfpkit.cli.options import After, Before, Output, Where, installation
from kfpkit.cli.targets import choose
from kfpkit.core import console, process
from kfpkit.operations.backup import inventory as holdings

app = typer.Typer()


@app.command()
@installation()
def inventory(where: Where, output: Output = None) -> None:
    """Write down what an installation holds, artifacts by SHA-256."""
    file = output or Path("inventory.json")
    target = choose(where)
    if process.dry_run():
        console.say(f"would write what {target.namespace} of {target.context} holds into {file}")
        return
    found = holdings.take(target)
    file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    numbers = ", ".join(f"{count} {name}" for name, count in holdings.counts(found).items())
    console.say(f"{file}: {numbers}")


@app.command("inventory-compare")
def compare(before: Before, after: After) -> None:
    """Compare two inventories; exit code 1 at a difference."""
    one, other = (json.loads(file.read_text(encoding="utf-8")) for file in (before, after))
    found = holdings.differences(one, other)
    for row in found:
        console.out.print(row, markup=False)
    if found:
        raise typer.Exit(1)
    numbers = ", ".join(f"{count} {name}" for name, count in holdings.counts(one).items())
    console.out.print(f"no difference in {numbers}", markup=False)
