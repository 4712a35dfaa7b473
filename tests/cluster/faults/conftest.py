"""An installation that may be harmed, in a namespace of its own, and the table of what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.kfp.target import Target, choose
from kfpkit.kube import forward
from kfpkit.operations import installation as lifecycle
from tests.support import installation
from tests.support.faults import CLAIM, HEAD, NAMESPACE, ROWS, Volume, kubectl, starter
from tests.support.installation import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from _pytest.terminal import TerminalReporter

    from tests.support.runs import Run


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    if not config.stash[ROWS]:
        return
    terminalreporter.section("faults")
    for row in (HEAD, *config.stash[ROWS]):
        terminalreporter.line(f"| {' | '.join(row)} |")


@pytest.fixture(scope="session")
def note(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Add a row to the table that is printed at the end."""

    def note(*cells: str) -> None:
        request.config.stash[ROWS].append(cells)

    return note


@pytest.fixture(scope="module")
def volume(cluster: str) -> Volume:
    """The volume of the installation, on a node that takes pods."""
    taken = "jsonpath={range .items[*]}{.metadata.name}{' '}{.spec.taints[*].effect}{'\\n'}{end}"
    rows = kubectl(cluster, "get", "nodes", f"--output={taken}").splitlines()
    return Volume(cluster, next(row.split()[0] for row in rows if "NoSchedule" not in row))


@pytest.fixture(scope="module")
def harmed(
    cluster: str, volume: Volume, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """The installation."""
    folder: Path = tmp_path_factory.mktemp("overlay")
    claim = {"target": {"kind": "StatefulSet", "name": "object-store"}, "patch": CLAIM}
    wanted = Wanted(namespace=NAMESPACE, patches=(claim,))
    like = choose(context=cluster)
    installation.write_overlay(folder, wanted, like.overlay)
    earlier = Target(str(folder), cluster, like.kubectl, kind=like.kind)
    lifecycle.uninstall(earlier, delete_data=True)  # It would hold the volume.
    with volume.made(), installation.installed(folder, cluster, wanted) as target:
        yield target


@pytest.fixture(scope="module")
def host(harmed: Target) -> Iterator[str]:
    """Where its API is."""
    with forward.opened(harmed, forward.API) as address:
        yield f"http://{address}"


@pytest.fixture(scope="module")
def client(host: str) -> Any:
    """The SDK's client of its API."""
    import kfp

    return kfp.Client(host=host)


@pytest.fixture(scope="module")
def begin(harmed: Target, client: Any, host: str) -> Callable[..., Run]:
    """Start a run of two steps; with `retries`, each of them is tried again."""
    return starter(harmed, client, host)
