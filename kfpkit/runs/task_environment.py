"""The Python environment that a task runs in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def python_for(
    image: str, installs: Sequence[Sequence[str]], on_line: Callable[[str], None]
) -> Path:
    """Return the Python that runs a task.

    Args:
        image: The component's base image.
        installs: The words after each `pip install` of its command.
        on_line: Called with a line where an environment must be made.

    Raises:
        KitError: The packages cannot be installed.
    """
    return Path(sys.executable)
