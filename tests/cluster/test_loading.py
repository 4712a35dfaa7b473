"""Loading images: what containerd says it has is read rightly."""

from __future__ import annotations

import pytest

from kfpkit.cluster import loading

MANAGED = "io.cri-containerd.image=managed"
LISTED = f"""\
REF                          TYPE         DIGEST     SIZE      PLATFORMS   LABELS
docker.io/kfpkit/etcd:1      application  sha256:ab  11.1 MiB  linux/amd64 {MANAGED},kfpkit.inputs=a
registry.k8s.io/pause:3.10.1 application  sha256:cd  1.1 MiB   linux/amd64 {MANAGED}
"""


def test_an_image_counts_only_with_the_address_of_its_inputs() -> None:
    assert loading.loaded(LISTED) == {"docker.io/kfpkit/etcd:1": "a"}
    assert loading.loaded("REF TYPE DIGEST SIZE PLATFORMS LABELS\n") == {}


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("kfpkit/etcd:1", "docker.io/kfpkit/etcd:1"),
        ("debian:12", "docker.io/library/debian:12"),
        ("ghcr.io/a/b:1", "ghcr.io/a/b:1"),
        ("localhost:5000/a:1", "localhost:5000/a:1"),
    ],
)
def test_an_image_is_kept_under_its_name_with_registry(reference: str, full: str) -> None:
    assert loading.full_name(reference) == full
