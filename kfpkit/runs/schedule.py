"""When a recurring run is due: what the user writes, checked before anything is sent.

KFP's server refuses a wrong cron expression, but not one of five fields, which users of cron write:
it takes it for one without its last field, and the runs come at other times than meant.
"""

from __future__ import annotations

from dataclasses import dataclass

from kfpkit.core import durations
from kfpkit.core.errors import BadInputError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

#: Name, least and greatest value, and the names of the values of each field.
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)

_EXAMPLE = 'Six fields, as in CRON="0 30 6 * * 1-5": at 06:30:00 UTC from Monday to Friday'


@dataclass(frozen=True)
class When:
    """When a recurring run is due: by a cron expression, or again after some seconds."""

    cron: str = ""
    seconds: int = 0

    def __str__(self) -> str:
        return f"cron {self.cron} (UTC)" if self.cron else f"every {self.seconds} s"


def when(cron: str, every: str) -> When:
    """Return when a recurring run is due.

    Args:
        cron: A cron expression of six fields, the first of which is the second; in UTC unless the
            scheduled workflow controller has another time zone.
        every: A duration, as `durations.parse` takes it.

    Raises:
        BadInputError: Neither or both are given, or what is given is not of its form.
    """
    if bool(cron.strip()) == bool(every.strip()):
        raise BadInputError("give CRON= or EVERY=, one of them", _EXAMPLE)
    if cron.strip():
        return When(cron=_cron(cron))
    return When(seconds=durations.parse(every, "EVERY"))


def _cron(text: str) -> str:
    """Return the expression with single spaces.

    The grammar is that of github.com/robfig/cron 1.2, with which both of KFP's releases read it.
    """
    fields = text.split()
    if len(fields) == 5:
        raise BadInputError(
            f"the cron expression {text!r} has 5 fields",
            f'KFP wants the second in front: "0 {" ".join(fields)}"',
        )
    if len(fields) != 6:
        raise BadInputError(f"the cron expression {text!r} has {len(fields)} fields", _EXAMPLE)
    for field, (name, least, greatest, names) in zip(fields, _FIELDS, strict=True):
        if not all(_is_range(part, least, greatest, names) for part in field.split(",")):
            raise BadInputError(
                f"{field!r} is no {name} of a cron expression ({least} to {greatest})", _EXAMPLE
            )
    return " ".join(fields)


def _is_range(part: str, least: int, greatest: int, names: tuple[str, ...]) -> bool:
    bounds, slash, step = part.partition("/")
    if slash and not (step.isdecimal() and int(step) > 0):
        return False
    if bounds in ("*", "?"):
        return True
    low, hyphen, high = bounds.partition("-")
    values = [_number(value, least, names) for value in ((low, high) if hyphen else (low,))]
    known = [value for value in values if value is not None]
    return len(known) == len(values) and least <= known[0] <= known[-1] <= greatest


def _number(text: str, least: int, names: tuple[str, ...]) -> int | None:
    if text.lower() in names:
        return names.index(text.lower()) + least
    return int(text) if text.isdecimal() else None
