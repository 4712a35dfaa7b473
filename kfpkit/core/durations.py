"""Durations as people write them (`90s`, `6h`, `30d`) and read them (`3 min 05 s`)."""

from __future__ import annotations

import re

from kfpkit.core.errors import BadInputError

#: Seconds of a day.
DAY = 86400

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": DAY, "w": 7 * DAY}
_EXAMPLES = {"s": "90s", "m": "15m", "h": "6h", "d": "30d", "w": "8w"}


def parse(text: str, setting: str, *, units: str = "smhdw") -> int:
    """Return the seconds of a duration: a whole number above 0 and a unit, as in `15m`.

    Args:
        text: What the user wrote. A number without a unit is one of seconds, if it may be.
        setting: What it was written for, as in `EVERY`, for the error.
        units: Those that it may have.

    Raises:
        BadInputError: It is not of this form.
    """
    match = re.fullmatch(rf"(\d{{1,9}})([{units}]{'?' if 's' in units else ''})", text.strip())
    seconds = int(match[1]) * _SECONDS[match[2] or "s"] if match else 0
    if not seconds:
        examples = [_EXAMPLES[unit] for unit in units]
        raise BadInputError(
            f"{setting}={text} is no duration" if text.strip() else f"{setting} is not given",
            f"Write a whole number with its unit: {', '.join(examples[:-1])} or {examples[-1]}",
        )
    return seconds


def write(seconds: float | None) -> str:
    """Return a duration for a person: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`; `-` for None."""
    if seconds is None:
        return "-"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
