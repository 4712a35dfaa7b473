"""Saying aloud what was not run for want of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter
from tests.support.next_release import NO_NEXT


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = {str(report.longrepr[2]) for report in skipped if NO_NEXT in str(report.longrepr)}
    if reasons:
        terminalreporter.section("NOT RUN", sep="!", red=True)
        terminalreporter.line(
            f"the upgrade to the next release: {'; '.join(sorted(reasons))}. Pull its images, or "
            "build them and give them upstream's names"
        )
