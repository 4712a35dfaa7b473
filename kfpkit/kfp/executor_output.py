"""What a step wrote for KFP (kfp's executor output), as its launcher printed it into the pod's log.

The launcher prints it when the step has ended well, with all digits of the numbers.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEFORE = re.compile(r"launcher_v2\.go:\d+\] ExecutorOutput: ")

#: Keys in it that name nothing of the step's own.
_FRAME = ("parameterValues", "artifacts", "metadata")


def written(log: str) -> dict[str, Any]:
    """Return what a step wrote for KFP; empty where the log has none.

    Args:
        log: The log of the pod's main container.
    """
    starts = [match.end() for match in _BEFORE.finditer(log)]
    try:
        found = json.JSONDecoder().raw_decode(log, starts[-1])[0] if starts else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def not_finite(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield place and value of what a step wrote and KFP cannot keep: NaN and infinity."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from not_finite(inner, place if key in _FRAME else (*place, key))
    elif isinstance(value, list):
        for inner in value:
            yield from not_finite(inner, place)
    elif isinstance(value, float) and not math.isfinite(value):
        yield place, value
