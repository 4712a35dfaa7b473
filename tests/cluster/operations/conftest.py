"""Saying aloud what was not run for want of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.backups import make_backup, small_store
from tests.support.skips import NO_NEXT

if TYPE_CHECKING:
    from pathlib import Path

    from _pytest.terminal import TerminalReporter


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = {str(report.longrepr[2]) for report in skipped if NO_NEXT in str(report.longrepr)}
    if reasons:
        terminalreporter.section("NOT RUN", sep="!", red=True)
        terminalreporter.line(
            f"the upgrade to the next release: {'; '.join(sorted(reasons))}. Pull its images, or "
            "build them and give them upstream's names"
        )


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Return the folder of a small backup."""
    return make_backup(tmp_path, small_store())
