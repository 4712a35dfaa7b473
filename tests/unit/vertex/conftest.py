"""The stand-in of Vertex AI, on a port of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.vertex.server import StandIn, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with served(tmp_path) as started:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", started.storage)
        yield started
