"""Every overlay and every combination, rendered once."""

from __future__ import annotations

import shutil
from functools import cache
from typing import TYPE_CHECKING

import pytest

from kfpkit.core.versions import ROOT
from kfpkit.kube import render

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kube.render import Document

#: By the name that a test's id shows.
SUBJECTS: dict[str, Path] = {
    f"{file.parent.parent.name}/{file.parent.name}": file.parent
    for pattern in ("manifests/overlays/*", "tests/manifests/combinations/*")
    for file in sorted(ROOT.glob(f"{pattern}/kustomization.yaml"))
}


@cache
def rendered(name: str) -> list[Document]:
    """Return the render of one subject; tests must not change it."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: NO MANIFEST WAS RENDERED OR CHECKED")
    return render.render(SUBJECTS[name])
