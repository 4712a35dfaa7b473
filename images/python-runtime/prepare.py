"""Adds the components' code to the runtime image's build context."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from components import image

if TYPE_CHECKING:
    from kfpkit.images.builder import Build


def prepare(build: Build) -> None:
    """Put `components/` into the context: the files that the image's tag names, and no others."""
    for file in image.code():
        target = build.context / "components" / file.relative_to(image.FOLDER)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
