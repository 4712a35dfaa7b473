"""Every overlay and every combination, rendered once."""

from __future__ import annotations

import re
import shutil
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kfpkit.core.versions import ROOT
from kfpkit.kube import render

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kube.render import Document


#: API groups whose schemas Kubernetes does not have; each is of an option that needs the kinds.
FOREIGN = {"monitoring.coreos.com", "networking.gke.io", "cloud.google.com"}

COMBINATIONS = ROOT / "tests/support/combinations"

#: By the name that a test's id shows.
SUBJECTS: dict[str, Path] = {
    f"{file.parent.parent.name}/{file.parent.name}": file.parent
    for pattern in ("manifests/overlays/*", "tests/support/combinations/*")
    for file in sorted(ROOT.glob(f"{pattern}/kustomization.yaml"))
}

#: Made by hand or by `make install`, never by a render; listed in manifests/README.md.
SECRETS: dict[str, set[str]] = {
    "database-password": {"password", "root-password"},
    "mlpipeline-minio-artifact": {"accesskey", "secretkey"},
    "oauth2-proxy": {"client-id", "client-secret", "cookie-secret"},
    "kfp-ingress-tls": set(),
    "warm-driver-tls": {"tls.crt", "tls.key"},
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


PINNED = re.compile(
    r"[\w.-]+(/[\w.-]+)+:(?!latest$|unpinned$)[\w.-]*\d[\w.-]*(@sha256:[0-9a-f]{64})?"
)


def named(documents: list[Document], kind: str) -> dict[str, Document]:
    return {d["metadata"]["name"]: d for d in documents if d["kind"] == kind}


def text_of(documents: list[Document], name: str, key: str) -> Any:
    return yaml.safe_load(named(documents, "ConfigMap")[name]["data"][key])
