"""The mirror: its list is what the manifests pull, and a real registry takes and gives it back."""

from __future__ import annotations

import re
import socket
import tomllib

import pytest
import yaml

from kfpkit.cluster import lifecycle
from kfpkit.cluster.config import load
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.core.versions import ROOT, version
from kfpkit.images import mirror
from kfpkit.images.mirror import Mirror
from kfpkit.images.source import Source
from kfpkit.kube import render
from tests.support.renders import SUBJECTS, rendered

SERVED = [
    (Source.UPSTREAM, version("KFP_RELEASE")),
    (Source.UPSTREAM, version("KFP_MODULE_RELEASE")),
    (Source.PACKAGES, version("KFP_MODULE_RELEASE")),
]


def chosen(name: str) -> tuple[str, str]:
    """Return the image source and the release of an overlay or a combination."""
    text = (SUBJECTS[name] / "kustomization.yaml").read_text(encoding="utf-8")
    of = {
        path.rsplit("/", 2)[-2]: path.rsplit("/", 1)[-1]
        for path in yaml.safe_load(text)["components"]
    }
    return of["images"], of["releases"]


def pulled(name: str) -> set[str]:
    """Return the images of a subject."""
    return render.images(rendered(name))


def without_tag(image: str) -> str:
    return image.partition("@")[0].rpartition(":")[0]


@pytest.mark.parametrize("name", SUBJECTS)
def test_no_manifest_pulls_what_is_not_on_the_list(name: str) -> None:
    source, release = chosen(name)
    images = pulled(name)
    if source == Source.MIRROR:
        target = mirror.parse("registry.example.com/mirror")
        listed = {target.name(image) for image in mirror.listed(Source.UPSTREAM, release)}
    else:
        listed = set(mirror.listed(Source(source), release))

    assert images
    assert images <= listed


@pytest.mark.parametrize("source", [Source.UPSTREAM, Source.PACKAGES])
def test_the_list_holds_nothing_that_nobody_pulls(source: Source) -> None:
    # An option may be combined with another release than the list's; its image is the same.
    images = {image for name in SUBJECTS if chosen(name)[0] == source for image in pulled(name)}
    cluster = {mirror.node(source), mirror.metrics_server()}
    golden = (ROOT / "pipelines/golden/penguins.yaml").read_text(encoding="utf-8")
    steps = set(re.findall(r"^ +image: (\S+)$", golden, re.MULTILINE))

    assert {without_tag(image) for image in mirror.listed(source)} == {
        without_tag(image) for image in images | cluster | steps
    }


@pytest.mark.parametrize(("source", "release"), SERVED)
def test_every_image_is_pinned_and_listed_once(source: Source, release: str) -> None:
    listed = mirror.listed(source, release)
    names = [mirror.parse("r:1/kfp").name(image) for image in listed]

    assert len(set(names)) == len(listed)
    for image in listed:
        assert re.search(r":(?!latest|unpinned)[\w.-]+(@sha256:[0-9a-f]{64})?$", image)


def test_the_two_sources_share_no_name_in_a_mirror_but_have_one_content() -> None:
    target = mirror.parse("r:1")
    upstream, packages = (
        {target.name(image) for image in mirror.listed(source)}
        for source in (Source.UPSTREAM, Source.PACKAGES)
    )

    # Upstream's metrics-server stands in for the built one, and two images are always built.
    assert {name.split("/", 1)[1].split(":")[0] for name in upstream & packages} == {
        "metrics-server/metrics-server",
        "kfpkit",
        "kfpkit/python-runtime",
    }


@pytest.mark.parametrize(
    ("source", "release", "said"),
    [
        (Source.UPSTREAM, "1.0", "there is no release 1.0"),
        (Source.PACKAGES, version("KFP_RELEASE"), "cannot be built from packages"),
        (Source.MIRROR, "", "IMAGES=mirror has no list of its own"),
    ],
)
def test_a_list_that_cannot_be_is_refused(source: Source, release: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        mirror.listed(source, release)


@pytest.mark.parametrize(
    ("text", "host", "prefix"),
    [
        ("registry.example:5000/prefix", "registry.example:5000", "/prefix"),
        ("registry.example.com", "registry.example.com", ""),
        ("10.0.0.5:5000/a/b-c_d", "10.0.0.5:5000", "/a/b-c_d"),
        ("localhost/kfp", "localhost", "/kfp"),
    ],
)
def test_a_registry_with_or_without_a_path_is_read(text: str, host: str, prefix: str) -> None:
    assert mirror.parse(text) == Mirror(host, prefix)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://registry.example",
        "registry",
        "registry/kfp",
        "registry.example:0",
        "registry.example:70000",
        "registry.example:port",
        "registry.example:5000/",
        "registry.example:5000/Kfp",
        "registry.example:5000//kfp",
        "registry.example:5000/kfp:1",
        "registry.example:5000/kfp; true",
    ],
)
def test_what_is_no_registry_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="MIRROR"):
        mirror.parse(text)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("ghcr.io/kubeflow/kfp-driver:2.17.0", "r:1/p/kubeflow/kfp-driver:2.17.0"),
        ("kfpkit/kfp-driver:2.14.3", "r:1/p/kfpkit/kfp-driver:2.14.3"),
        ("docker.io/kindest/node:v1@sha256:00", "r:1/p/kindest/node:v1"),
    ],
)
def test_the_registry_is_replaced(reference: str, name: str) -> None:
    assert mirror.parse("r:1/p").name(reference) == name


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("127.0.0.1:5000", True),
        ("localhost:5000", True),
        ("10.0.0.1:5000/x", False),
        ("a.b", False),
    ],
)
def test_a_loopback_address_is_known(text: str, loopback: bool) -> None:
    assert mirror.parse(text).loopback is loopback


def test_a_registry_that_does_not_answer_is_one_line() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(KitError, match=f"no registry answers at {host}: .*refused") as caught:
            mirror.push(Mirror(host, ""), Source.PACKAGES)

    assert "\n" not in str(caught.value)


def test_a_node_is_told_where_the_registry_is_and_whom_to_trust() -> None:
    server = "http://10.0.0.1:1/v2/kfp"
    settings = {"capabilities": ["pull", "resolve"], "override_path": True}

    plain = tomllib.loads(mirror.hosts_toml(server, ""))
    assert plain == {"server": server, "host": {server: settings}}
    trusting = tomllib.loads(mirror.hosts_toml(server, "/x/ca.crt"))
    assert trusting["host"][server] == {**settings, "ca": "/x/ca.crt"}


def test_only_a_mirrored_cluster_reads_about_registries() -> None:
    text = load().config.read_text()

    mirrored = yaml.safe_load(lifecycle.make_config(text, nodes=2, mirrored=True))
    assert mirror.NODE_CERTIFICATES in mirrored["containerdConfigPatches"][0]
    assert "containerdConfigPatches" not in yaml.safe_load(lifecycle.make_config(text, nodes=2))
