"""The pipelines that `make bench` measures with: small tasks, so that what is around them shows.

All take `salt`, a text that goes to each task, so that a run with another salt finds nothing in the
cache. Their image is the kit's own, and nothing is installed at a task's start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.pipelines import made

if TYPE_CHECKING:
    from collections.abc import Callable

#: By the name that a scenario has; each returns what `@dsl.pipeline` makes.
PIPELINES: dict[str, Callable[[], Any]] = {
    "row-1": lambda: made.row(1),
    "row-4": lambda: made.row(4),
    "row-20": lambda: made.row(20),
    "side-20": lambda: made.side(20),
    "side-100": lambda: made.side(100),
    "condition": lambda: made.condition,
    "loop-50": lambda: made.loop(50),
    "artifact": lambda: made.artifact,
}
