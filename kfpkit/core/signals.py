"""A polite kill ends a command as Ctrl-C does, so that it puts things right first."""

from __future__ import annotations

import signal


def unwind() -> None:
    """Let the first SIGTERM or SIGHUP raise `KeyboardInterrupt` in the main thread, which calls it.

    Those that follow do nothing: the clean-up goes on. What is ignored stays so, as under nohup.
    """
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        if not ended:
            ended = True
            raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)
