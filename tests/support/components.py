"""What the one run of all components' logic gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from components.executor_output import Metadata


@dataclass(frozen=True)
class Run:
    """The files of a run and the metadata of its artifacts, both by name of the artifact."""

    folder: Path
    metadata: dict[str, Metadata]

    def __getitem__(self, name: str) -> Path:
        return self.folder / name
