"""What the kit says to a person: results on standard output, progress on standard error."""

from __future__ import annotations

from rich.console import Console

#: Results that may be piped on: tables, addresses, JSON.
out = Console(soft_wrap=True, highlight=False)

#: Progress, commands as they are run, warnings and errors.
err = Console(stderr=True, soft_wrap=True, highlight=False)


def say(message: str) -> None:
    """Report progress on standard error."""
    err.print(message, markup=False)


def warn(message: str) -> None:
    """Report something the user should know but that stops nothing."""
    err.print(f"warning: {message}", style="yellow", markup=False)
