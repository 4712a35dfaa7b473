"""The kit's errors: one clear line that says what is wrong, where, and what to do."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

#: What to do where the system refuses a file, by its reason.
_REFUSALS = {
    errno.EACCES: "Give this user the right to it",
    errno.EDQUOT: "Free some of this user's quota",
    errno.EEXIST: "Move it away: a folder is to be there",
    errno.ENOSPC: "Free some room there",
    errno.ENOTDIR: "Move away what is in the place of a folder",
    errno.EPERM: "Give this user the right to it",
    errno.EROFS: "Make it writable",
}


class KitError(Exception):
    """Something the user can act on.

    Args:
        what: What is wrong and where, as one sentence without a full stop.
        do: What to do about it, as one sentence without a full stop.
    """

    def __init__(self, what: str, do: str = "") -> None:
        self.what = what
        self.do = do
        super().__init__(f"{what}. {do}." if do else f"{what}.")


class BadInputError(KitError):
    """The user's input is wrong; nothing has been done with it."""


class CommandError(KitError):
    """A process ended badly; shows the command line and the end of its error output."""

    #: How many of the last lines of error output the message shows.
    SHOWN_LINES = 15

    def __init__(self, line: str, returncode: int, stderr: str, do: str = "") -> None:
        self.line = line
        self.returncode = returncode
        self.stderr = stderr
        tail = "\n".join(f"    {row}" for row in stderr.strip().splitlines()[-self.SHOWN_LINES :])
        what = f"`{line}` ended with exit code {returncode}"
        super().__init__(what, do)
        if tail:
            self.args = (f"{self.args[0]}\n{tail}",)


class WaitTimeoutError(KitError):
    """A condition did not come true in time; shows the last state seen."""

    def __init__(self, what: str, seconds: float, last_state: str, do: str = "") -> None:
        self.last_state = last_state
        super().__init__(f"{what}: not after {seconds:.0f} s; last state: {last_state}", do)


def join_names(names: Collection[str]) -> str:
    """Return names as a readable list for a message, or `none`."""
    return ", ".join(sorted(names)) if names else "none"


@contextmanager
def refusals_of(
    place: Path | None = None, otherwise: str = "choose another place"
) -> Iterator[None]:
    """Turn what the system refuses during a `with` block, as on a full disk, into one clear line.

    Args:
        place: What is written; named where the system does not say which file it was.
        otherwise: What to do where the place itself cannot be mended.

    Raises:
        KitError: A disk is full or read-only, or this user has not the right to a file.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        name = error.filename or place or "a file"
        raise KitError(
            f"{name}: {os.strerror(error.errno)}", f"{_REFUSALS[error.errno]}, or {otherwise}"
        ) from None
