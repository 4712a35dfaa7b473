"""A real Docker engine for the tests of the images; without one they are skipped, and say so."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.images import engine
from tests.support.containers import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def network() -> Iterator[str]:
    """Make a Docker network; skips where no engine answers."""
    if not engine.answers():
        pytest.skip("no Docker engine answers")
    name = f"kfpkit-test-{os.getpid()}"
    process.query(["docker", "network", "create", name])
    yield name
    process.query(["docker", "network", "rm", name])


@pytest.fixture
def docker(network: str) -> Iterator[Engine]:
    """Give a test the engine, and remove its containers afterwards."""
    with contextlib.ExitStack() as stack:
        yield Engine(network, stack)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Make a folder any user may write, to be mounted as a volume."""
    folder = tmp_path / "volume"
    folder.mkdir()
    folder.chmod(0o777)
    return folder
