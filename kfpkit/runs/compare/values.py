"""When two values agree, and where in them they first do not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from enum import Enum
from typing import Any


class Absent(Enum):
    """In the place of a value that a run has not; null is a value."""

    ABSENT = "-"


ABSENT = Absent.ABSENT

#: Whether two values that hold no others agree.
Alike = Callable[[Any, Any], bool]


def alike(
    one: Any, other: Any, *, tolerance: float = 0.0, slack: float = 0.0, whole: bool = True
) -> bool:
    """Return whether two JSON values that hold no others agree.

    1 and 1.0 do, for a cluster has every number as a float; true and 1 do not. NaN, which a run's
    description has as a text, agrees with NaN.

    Args:
        one: A value.
        other: Another.
        tolerance: Two numbers a and b agree where |a - b| <= tolerance * max(|a|, |b|).
        slack: And where |a - b| is no more than this.
        whole: Whether two whole numbers agree only if they are equal.
    """
    if not (_is_number(one) and _is_number(other)):
        return type(one) is type(other) and bool(one == other)
    if one == other or (whole and _is_whole(one) and _is_whole(other)):
        return bool(one == other)
    try:
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=slack)
    except OverflowError:  # an integer beyond all floats
        return False


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Return the values inside a JSON value that hold no others, by their path: `.rows[2].name`.

    A key that could be taken for more of a path is quoted: `.rows["a.b"]`.
    """
    inside: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        inside = [(path + _step(key), value[key]) for key in sorted(value)]
    elif isinstance(value, list):
        inside = [(f"{path}[{number}]", item) for number, item in enumerate(value)]
    if not inside:
        return {path: value}
    return {found: leaf for at, item in inside for found, leaf in leaves(item, at).items()}


def unlike(values: list[Any], agree: Alike) -> list[tuple[str, list[Any]]]:
    """Return where values differ: the path, and what each has there; the first is the measure.

    Args:
        values: One for each run; `ABSENT` where it has none.
        agree: Whether two values that hold no others agree.
    """
    taken = [leaves(value) for value in values]
    found = []
    for path in dict.fromkeys(path for each in taken for path in each):
        row = [each.get(path, ABSENT) for each in taken]
        if not all(_same(row[0], one, agree) for one in row[1:]):
            found.append((path, row))
    return found


def _step(key: str) -> str:
    return f"[{json.dumps(key, ensure_ascii=False)}]" if {".", "["} & {*key} else f".{key}"


def _same(one: Any, other: Any, agree: Alike) -> bool:
    if one is ABSENT or other is ABSENT:
        return one is other
    return agree(one, other)


def _is_whole(value: float) -> bool:
    return isinstance(value, int) or value.is_integer()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
