"""Every overlay and every combination, rendered once."""

from __future__ import annotations

import shutil
from functools import cache
from typing import TYPE_CHECKING

import pytest

from kfpkit import render
from kfpkit.versions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.render import Document

COMBINATIONS = ROOT / "tests/manifests/combinations"

#: By the name that a test's id shows.
SUBJECTS: dict[str, Path] = {
    f"{file.parent.parent.name}/{file.parent.name}": file.parent
    for pattern in ("manifests/overlays/*", "tests/manifests/combinations/*")
    for file in sorted(ROOT.glob(f"{pattern}/kustomization.yaml"))
}

#: Made by hand or by `make install`, never by a render; listed in manifests/README.md.
SECRETS: dict[str, set[str]] = {
    "database-password": {"password", "root-password"},
    "mlpipeline-minio-artifact": {"accesskey", "secretkey"},
    "oauth2-proxy": {"client-id", "client-secret", "cookie-secret"},
    "kfp-ingress-tls": set(),
}

#: Certificates in a Secret, because Argo takes them from nothing else: public, and rendered.
PUBLIC = "private-ca"


@cache
def rendered(name: str) -> list[Document]:
    """Return the render of one subject; tests must not change it."""
    return rendered_folder(SUBJECTS[name])


def rendered_folder(folder: Path) -> list[Document]:
    """Return the render of a kustomization."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: NO MANIFEST WAS RENDERED OR CHECKED")
    return render.render(folder)


@pytest.fixture(params=SUBJECTS)
def documents(request: pytest.FixtureRequest) -> list[Document]:
    """The objects of one overlay or combination."""
    return rendered(request.param)
