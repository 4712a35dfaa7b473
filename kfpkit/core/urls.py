"""Addresses, as they may be shown."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)[^/@\s]+@")


def without_password(text: str) -> str:
    """Return a text in which addresses have no user and no password."""
    return _USER.sub("…@", text)
