"""Adds the kit's own program to its image's build context."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from kfpkit.core.versions import HOME
from kfpkit.images import own

if TYPE_CHECKING:
    from kfpkit.images.builder import Build


def prepare(build: Build) -> None:
    """Put the program into `kit/`: the files that the image's tag names, and no others."""
    for file in own.code():
        target = build.context / "kit" / file.relative_to(HOME)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
