"""What the kit says to a person: results on standard output, progress on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.prompt import Confirm
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

#: Results that may be piped on: tables, addresses, JSON.
out = Console(soft_wrap=True, highlight=False, emoji=False)

#: Progress, commands as they are run, warnings and errors.
err = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def say(message: str) -> None:
    """Report progress on standard error."""
    err.print(message, markup=False)


def warn(message: str) -> None:
    """Report something the user should know but that stops nothing."""
    err.print(f"warning: {message}", style="yellow", markup=False)


def consent(*, yes: bool) -> Callable[[str], bool] | None:
    """Return what asks the user a question: the terminal, or None where there is none.

    Args:
        yes: Take every answer for yes.
    """
    if yes:
        return lambda _: True
    if not sys.stdin.isatty():
        return None
    return lambda question: Confirm.ask(Text(question, "prompt"), console=err, default=False)
