"""Waiting for a condition, with progress and a timeout that reports the last state."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text

from kfpkit.core import console
from kfpkit.core.errors import WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kfpkit.core.errors import KitError

#: Seconds between two lines of progress where the output is no terminal.
PLAIN_INTERVAL = 15.0


def wait_for(
    what: str,
    probe: Callable[[], str | None],
    *,
    timeout: float,
    interval: float = 1.0,
    do: str = "",
) -> float:
    """Wait until `probe` returns None; until then it returns the state as a short text.

    Args:
        what: What is waited for, for example `pod mysql-0 Ready`.
        probe: Called again and again; an exception it raises ends the wait.
        timeout: Seconds.
        interval: Seconds between two calls of `probe`.
        do: What the user should do after a timeout.

    Returns:
        Seconds waited.

    Raises:
        WaitTimeoutError: `probe` still returned a state when the time was over.
    """
    began = time.monotonic()
    said = began - PLAIN_INTERVAL
    with console.err.status("") as status:
        while True:
            state = probe()
            elapsed = time.monotonic() - began
            if state is None:
                return elapsed
            if elapsed >= timeout:
                raise WaitTimeoutError(what, timeout, state, do)
            progress = f"waiting for {what}: {state} ({elapsed:.0f} s of {timeout:.0f} s)"
            if console.err.is_terminal:
                status.update(Text(progress))
            elif time.monotonic() - said >= PLAIN_INTERVAL:
                said = time.monotonic()
                console.say(progress)
            time.sleep(min(interval, max(timeout - elapsed, 0.01)))


class Patience:
    """How long one who does not answer is asked again.

    Args:
        seconds: For which nothing may answer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def answered(self) -> None:
        """Start anew with the next silence."""
        self._since = None

    def silent(self, error: KitError) -> None:
        """Say once that there was no answer; raise the error where that lasts too long."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
            console.warn(f"{error.what}: asking again for {self._seconds:.0f} s")
        elif now - self._since > self._seconds:
            raise error
