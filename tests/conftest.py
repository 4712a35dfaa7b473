"""The cluster tests' switch, and what several folders use: a cluster, an engine, a browser."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core import process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.terminal import TerminalReporter

    from kfpkit.kfp.target import Target

NEED_CLUSTER = ("cluster", "kfp", "docker")

#: When a test on the cluster has its turn, where its marker `turn` does not say it.
TURN = 3

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

#: How many long tests were left out.
LONG = pytest.StashKey[int]()

#: What a test says that is skipped because the installation has no web UI.
NO_UI = "no web UI"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster",
        action="store_true",
        help="run the tests that need Docker or the kind cluster, which is brought up first",
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """With --cluster, start the engine first: some tests need it and no cluster."""
    if session.config.getoption("--cluster"):
        from kfpkit.images import engine

        engine.ensure()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--cluster"):
        items.sort(key=turn)
        return
    skip = pytest.mark.skip(reason="needs Docker or the kind cluster: run with --cluster")
    for item in items:
        if any(item.get_closest_marker(name) for name in NEED_CLUSTER):
            item.add_marker(skip)


def turn(item: pytest.Item) -> int:
    """Return when a test has its turn; the long ones come last, when no run is under way."""
    marker = item.get_closest_marker("turn")
    return 5 if item.get_closest_marker("long") else marker.args[0] if marker else TURN


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long"):
            item.config.stash[LONG] = item.config.stash.get(LONG, 0) + 1


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if config.getoption("--cluster"):
        if long := config.stash.get(LONG, 0):
            terminalreporter.section("NOT RUN", sep="!", red=True)
            terminalreporter.line(f"{long} long tests on the cluster: make test-cluster runs all")
        if left_out := sum(NO_UI in str(report.longrepr) for report in skipped):
            terminalreporter.section("NOT RUN", sep="!", red=True)
            terminalreporter.line(
                f"{left_out} tests of the web UI: its image is in no package registry, so an "
                "installation from packages has none. Name one that has it in KFP_UI and KFP_HOST"
            )
        return
    left_out = sum(any(name in report.keywords for name in NEED_CLUSTER) for report in skipped)
    if left_out:
        terminalreporter.section("NOT RUN", sep="!", red=True)
        terminalreporter.line(
            f"{left_out} tests need Docker or the kind cluster: make test-cluster runs them"
        )


@pytest.fixture(scope="session")
def cluster() -> str:
    """Return the context of the cluster, brought up if need be."""
    from kfpkit.cluster import lifecycle
    from kfpkit.cluster.config import CONTEXT

    lifecycle.up(nodes=int(os.environ.get("NODES", "1")))
    return CONTEXT


@pytest.fixture(scope="session")
def target(cluster: str) -> Target:
    """Kubeflow Pipelines on the cluster, as its overlay is now."""
    from kfpkit.kfp.target import choose
    from kfpkit.operations import installation as lifecycle

    chosen = choose(context=cluster)
    lifecycle.install(chosen, timeout=900)
    return chosen


@pytest.fixture(scope="session")
def docker() -> None:
    """Skip where no Docker engine answers."""
    if not process.query(["docker", "info"], check=False, timeout=30).ok:
        pytest.skip("no Docker engine answers")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """An installed Chromium; skips where there is none."""
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=found,
            # Without a sandbox, which root has not; and without traffic of its own.
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield chromium
        chromium.close()
