"""Every overlay and every combination, rendered once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kfpkit.core.versions import ROOT
from tests.manifests.subjects import SUBJECTS, rendered

if TYPE_CHECKING:
    from kfpkit.kube.render import Document

COMBINATIONS = ROOT / "tests/manifests/combinations"

#: Made by hand or by `make install`, never by a render; listed in manifests/README.md.
SECRETS: dict[str, set[str]] = {
    "database-password": {"password", "root-password"},
    "mlpipeline-minio-artifact": {"accesskey", "secretkey"},
    "oauth2-proxy": {"client-id", "client-secret", "cookie-secret"},
    "kfp-ingress-tls": set(),
}

#: Certificates in a Secret, because Argo takes them from nothing else: public, and rendered.
PUBLIC = "private-ca"


@pytest.fixture(params=SUBJECTS)
def documents(request: pytest.FixtureRequest) -> list[Document]:
    """The objects of one overlay or combination."""
    return rendered(request.param)
