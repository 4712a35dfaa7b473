"""Loading images: what containerd says it has is read rightly."""

from __future__ import annotations

from pathlib import Path

import pytest

from kfpkit.cluster import lifecycle, loading
from kfpkit.cluster.config import load
from kfpkit.cluster.lifecycle import Seen
from kfpkit.core import process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.core.versions import version
from kfpkit.images import builder, engine
from kfpkit.images import source as sources
from kfpkit.images.source import Source

NODES = ("kfp-control-plane", "kfp-worker")


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
        ("localhost/a:1", "localhost/a:1"),
        ("docker.io/python", "docker.io/library/python:latest"),
        ("docker.io/a/b@sha256:1", "docker.io/a/b@sha256:1"),
    ],
)
def test_an_image_is_kept_under_its_name_with_registry(reference: str, full: str) -> None:
    assert loading.full_name(reference) == full


@pytest.fixture
def engine_has(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """A cluster of two nodes made from packages, and an engine with the images of this set."""
    images: set[str] = set()

    def query(argv: list[str], **_: object) -> process.Result:
        return process.Result(0, LISTED if argv[2] == NODES[0] else "", "")

    seen = Seen(dict.fromkeys(NODES, "running"), api=True, marker={"images": "packages"})
    monkeypatch.setattr(lifecycle, "observe", lambda _: seen)
    monkeypatch.setattr(engine, "answers", lambda: True)
    monkeypatch.setattr(engine, "has", images.__contains__)
    monkeypatch.setattr(loading, "_nodes", lambda _: list(NODES))
    monkeypatch.setattr(builder, "ensure", lambda *_, **__: {})
    monkeypatch.setattr(process, "query", query)
    return images


def test_an_image_that_nobody_builds_comes_from_the_engine_to_the_nodes_that_lack_it(
    engine_has: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[list[str]] = []

    def run(argv: list[str], **_: object) -> None:
        ran.append(argv)
        if argv[:3] == ["docker", "save", "--output"]:
            Path(argv[3]).touch()

    monkeypatch.setattr(process, "run", run)
    engine_has |= {"kfpkit/etcd:1", "kfpkit/kfp-frontend:2.14.3"}

    loading.load(load(), [], ["kfpkit/etcd:1", "kfpkit/kfp-frontend:2.14.3"])

    saved = [argv[-1] for argv in ran if argv[:2] == ["docker", "save"]]
    assert saved == ["kfpkit/etcd:1", "kfpkit/kfp-frontend:2.14.3"]
    imported = [argv[3] for argv in ran if "import" in argv]
    assert imported == [NODES[1], *NODES]
    assert "kfpkit/kfp-frontend:2.14.3 is not built here: taking it" in capsys.readouterr().err


def test_an_image_that_nobody_builds_is_left_where_every_node_has_it(
    engine_has: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loading, "_nodes", lambda _: [NODES[0]])
    loading.load(load(), [], ["kfpkit/etcd:1"])
    assert not engine_has
    assert "kfpkit/etcd:1 is not built here: the nodes have it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("image", "do"),
    [
        ("kfpkit/kfp-frontend:2.14.3", "docker build --tag kfpkit/kfp-frontend:2.14.3"),
        ("kfpkit/versitygw:mine", f"kfpkit/versitygw:{version('VERSITYGW_VERSION')}"),
    ],
)
@pytest.mark.usefixtures("engine_has")
def test_an_image_that_nobody_has_stops_it_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, image: str, do: str
) -> None:
    monkeypatch.setattr(builder, "ensure", lambda *_, **__: pytest.fail("built"))
    with pytest.raises(BadInputError, match=f"the image {image} is neither built here") as refused:
        loading.load(load(), ["pause"], [image])
    assert do in refused.value.do


def test_where_nodes_pull_from_a_mirror_nothing_is_built_or_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = {"images": "mirror", "mirror": "r:1/p", "filled": "packages"}
    seen = Seen({"kfp-control-plane": "running"}, api=True, marker=marker)
    monkeypatch.setattr(lifecycle, "observe", lambda _: seen)
    monkeypatch.setattr(engine, "answers", lambda: True)
    monkeypatch.setattr(loading, "_nodes", lambda _: ["kfp-control-plane"])
    monkeypatch.setattr(builder, "ensure", lambda *_, **__: pytest.fail("built"))
    loading.load(load(), ["pause", "etcd"])
    assert "the nodes pull from the mirror: pause, etcd" in capsys.readouterr().err


def test_without_a_cluster_nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "answers", lambda: False)
    monkeypatch.setattr(builder, "ensure", lambda *_, **__: pytest.fail("built"))
    with pytest.raises(KitError, match="cluster-up first"):
        loading.load(load(), ["pause"])


@pytest.mark.parametrize("source", [Source.UPSTREAM, Source.PACKAGES])
def test_a_dry_run_says_what_would_be_done_to_a_cluster_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: Source
) -> None:
    monkeypatch.setattr(engine, "answers", lambda: False)
    monkeypatch.setattr(process, "dry_run", lambda: True)
    monkeypatch.setattr(sources, "choose", lambda *_: (source, ""))
    loading.load(load(), ["pause"], ["kfpkit/kfp-frontend:1"])
    assert "lack of: pause, kfpkit/kfp-frontend:1" in capsys.readouterr().err


@pytest.fixture
def copied(engine_has: set[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What is taken from the engine to which nodes; no registry answers."""
    assert not engine_has
    taken: dict[str, list[str]] = {}
    monkeypatch.setattr(loading, "_copy", lambda image, nodes: taken.update({image: [*nodes]}))
    monkeypatch.setattr(sources, "answers", lambda _: False)
    monkeypatch.setattr(loading, "_configured", lambda *_: False)
    return taken


def test_an_image_of_a_users_goes_to_the_nodes_that_lack_it(
    copied: dict[str, list[str]], engine_has: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    engine_has |= {"mine/tasks:1", "kfpkit/etcd:1"}
    loading.bring(load(), ["kfpkit/etcd:1", "mine/tasks:1"])
    assert copied == {"kfpkit/etcd:1": [NODES[1]], "mine/tasks:1": [*NODES]}
    assert "has no mine/tasks:1: taking it from the Docker engine" in capsys.readouterr().err


@pytest.mark.parametrize(
    "image", ["mine/tasks:1", "python:3.11", "r.example/a:1", f"mine/tasks@sha256:{'0' * 64}"]
)
def test_an_image_that_nobody_has_is_refused_before_any_is_loaded(
    copied: dict[str, list[str]], engine_has: set[str], image: str
) -> None:
    engine_has |= {"other:1"} | ({image} if "@" in image else set())
    with pytest.raises(BadInputError, match="neither the nodes nor the Docker engine have"):
        loading.bring(load(), ["other:1", image])
    assert copied == {}


def test_an_image_that_a_registry_may_have_is_the_nodes_own_matter(
    copied: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(loading, "_configured", lambda *_: True)
    loading.bring(load(), ["mine/tasks:1"])
    assert "the nodes may be told of another" in capsys.readouterr().err
    assert copied == {}


@pytest.mark.usefixtures("copied")
def test_a_moving_tag_is_refused_though_the_engine_has_it(engine_has: set[str]) -> None:
    engine_has |= {"mine/tasks"}
    with pytest.raises(BadInputError, match="has a moving tag, which Kubernetes pulls"):
        loading.bring(load(), ["mine/tasks"], ["mine/tasks"])
    loading.bring(load(), ["mine/tasks"])
