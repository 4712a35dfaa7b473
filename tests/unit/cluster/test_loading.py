"""Loading images: what containerd says it has is read rightly."""

from __future__ import annotations

import pytest

from kfpkit.cluster import lifecycle, loading
from kfpkit.cluster.lifecycle import Seen
from kfpkit.core.errors import KitError
from kfpkit.images import builder, engine

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


def test_where_nodes_pull_from_a_mirror_nothing_is_built_or_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = {"images": "mirror", "mirror": "r:1/p", "filled": "packages"}
    seen = Seen({"kfp-control-plane": "running"}, api=True, marker=marker)
    monkeypatch.setattr(lifecycle, "observe", lambda: seen)
    monkeypatch.setattr(engine, "answers", lambda: True)
    monkeypatch.setattr(loading, "_nodes", lambda: ["kfp-control-plane"])
    monkeypatch.setattr(builder, "ensure", lambda *_, **__: pytest.fail("built"))
    loading.load(["pause", "etcd"])
    assert "the nodes pull from the mirror: pause, etcd" in capsys.readouterr().err


def test_without_a_cluster_nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "answers", lambda: False)
    monkeypatch.setattr(builder, "ensure", lambda *_, **__: pytest.fail("built"))
    with pytest.raises(KitError, match="cluster-up first"):
        loading.load(["pause"])


@pytest.mark.parametrize(
    ("images", "said"), [("packages", "would load"), ("mirror", "nodes pull from the mirror")]
)
def test_a_dry_run_says_what_would_be_done_to_a_cluster_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], images: str, said: str
) -> None:
    monkeypatch.setattr(engine, "answers", lambda: False)
    monkeypatch.setenv("DRY_RUN", "1")
    monkeypatch.setenv("IMAGES", images)
    monkeypatch.setenv("MIRROR", "registry.example:5000/kfp")
    loading.load(["pause"])
    assert said in capsys.readouterr().err
