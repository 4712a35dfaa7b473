"""The cluster tests' switch, and what several folders use: a cluster, an engine, a browser."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.skips import NO_UI

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.terminal import TerminalReporter

    from kfpkit.cluster.config import KindCluster
    from kfpkit.kfp.target import Target

#: Markers of tests that `make test` leaves out: it starts no engine, and asks none.
LEFT_OUT = ("cluster", "kfp", "docker")

#: When a test on the cluster has its turn, where its marker `turn` does not say it.
TURN = 3

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

#: How many long tests were left out.
LONG = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster",
        action="store_true",
        help="run the tests that need Docker or the kind cluster, which is brought up first",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Give the tests the kit's own kubectl where PATH has none, and the world with --cluster only.

    Without that option no test may need an engine or a cluster, so none reaches one.
    What was given to a make that runs the tests is not for a make that a test runs.
    """
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        os.environ.pop(name, None)
    if not config.getoption("--cluster"):
        os.environ |= {"DOCKER_HOST": "unix:///none", "KUBECONFIG": "/dev/null"}
    if shutil.which("kubectl") is None:
        from kfpkit.cluster import tools

        folder = TemporaryDirectory()
        config.add_cleanup(folder.cleanup)
        (Path(folder.name) / "kubectl").symlink_to(tools.kubectl())
        os.environ["PATH"] = f"{folder.name}{os.pathsep}{os.environ['PATH']}"


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
        if any(item.get_closest_marker(name) for name in LEFT_OUT):
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
    left_out = sum(any(name in report.keywords for name in LEFT_OUT) for report in skipped)
    if left_out:
        terminalreporter.section("NOT RUN", sep="!", red=True)
        terminalreporter.line(
            f"{left_out} tests need Docker or the kind cluster: make test-cluster runs them"
        )


@pytest.fixture(scope="session")
def kind() -> KindCluster:
    """The cluster of these tests, whether it is there or not."""
    from kfpkit.cluster import config

    own = os.environ.get("KFPKIT_KIND_CONFIG")
    return config.load(Path(own) if own else None)


@pytest.fixture(scope="session")
def cluster(kind: KindCluster) -> str:
    """Return the context of the cluster, brought up if need be."""
    from kfpkit.cluster import lifecycle

    lifecycle.up(kind, nodes=int(os.environ.get("KFPKIT_NODES", "1")))
    return kind.context


@pytest.fixture(scope="session")
def target(cluster: str) -> Target:
    """Kubeflow Pipelines on the cluster, as its overlay is now."""
    from kfpkit.kfp.target import choose
    from kfpkit.operations import installation as lifecycle

    chosen = choose(context=cluster)
    lifecycle.install(chosen, timeout=900)
    return chosen


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
