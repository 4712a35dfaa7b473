"""The pinned versions: every one is written once, in `versions.env` at the top of the tree."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from kfpkit.core.errors import KitError

#: The top of the checkout. The kit runs from a checkout: its manifests are files to read.
ROOT = Path(__file__).resolve().parents[2]

VERSIONS_FILE = ROOT / "versions.env"

_LINE = re.compile(r"(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>\S+)")


@cache
def versions() -> dict[str, str]:
    """Return all pins of `versions.env` by name.

    Raises:
        KitError: A line is neither empty, nor a comment, nor NAME=value, or names a pin twice.
    """
    pins: dict[str, str] = {}
    for number, text in enumerate(VERSIONS_FILE.read_text().splitlines(), start=1):
        if not text.strip() or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None or match["name"] in pins:
            raise KitError(
                f"versions.env line {number} is no new NAME=value: {text!r}", "Mend the line"
            )
        pins[match["name"]] = match["value"]
    return pins


def version(name: str) -> str:
    """Return one pin of `versions.env`.

    Raises:
        KitError: There is no pin of that name.
    """
    try:
        return versions()[name]
    except KeyError:
        raise KitError(f"versions.env has no {name}", "Add it there") from None
