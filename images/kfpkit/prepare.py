"""Adds the kit's own program to its image's build context."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from kfpkit.images.builder import Build


def prepare(build: Build) -> None:
    """Put the program, and the files that it reads when it starts, into `kit/`."""
    to = build.context / "kit"
    shutil.copytree(ROOT / "kfpkit", to / "kfpkit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("versions.env", "kind-config.yaml"):
        shutil.copyfile(ROOT / name, to / name)
