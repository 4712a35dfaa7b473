"""The cluster tests' switch: without --cluster they are skipped, and the summary says so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kfpkit import process

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

NEED_CLUSTER = ("cluster", "kfp")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster",
        action="store_true",
        help="run the tests that need the kind cluster; it is brought up first",
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """With --cluster, start the engine first: some tests need it and no cluster."""
    if session.config.getoption("--cluster"):
        from kfpkit.images import engine

        engine.ensure()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--cluster"):
        return
    skip = pytest.mark.skip(reason="needs the kind cluster: run with --cluster")
    for item in items:
        if any(item.get_closest_marker(name) for name in NEED_CLUSTER):
            item.add_marker(skip)


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--cluster"):
        return
    left_out = sum(
        1
        for report in terminalreporter.stats.get("skipped", [])
        if any(name in report.keywords for name in NEED_CLUSTER)
    )
    if left_out:
        terminalreporter.section("NOT RUN", sep="!", red=True)
        terminalreporter.line(
            f"{left_out} tests need the kind cluster: make test-cluster runs them"
        )


@pytest.fixture(scope="session")
def cluster() -> str:
    """Return the context of the cluster, brought up if need be."""
    from kfpkit.cluster import CONTEXT, lifecycle

    lifecycle.up(nodes=int(os.environ.get("NODES", "1")))
    return CONTEXT


@pytest.fixture(scope="session")
def docker() -> None:
    """Skip where no Docker engine answers."""
    if not process.query(["docker", "info"], check=False, timeout=30).ok:
        pytest.skip("no Docker engine answers")
