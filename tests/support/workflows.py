"""Times and nodes of made-up Workflows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)
