"""The mirror: its list is what the manifests pull, and a real registry takes and gives it back."""

from __future__ import annotations

import json
import re
import shutil
import socket
import tomllib
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import yaml

from kfpkit.cluster import lifecycle
from kfpkit.cluster.config import load
from kfpkit.core import process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.core.versions import ROOT, version
from kfpkit.core.waiting import wait_for
from kfpkit.images import builder, cache, mirror, recipe
from kfpkit.images.mirror import Mirror
from kfpkit.images.source import Source
from kfpkit.kube import render
from tests.support.renders import SUBJECTS, rendered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVED = [
    (Source.UPSTREAM, version("KFP_RELEASE")),
    (Source.UPSTREAM, version("KFP_MODULE_RELEASE")),
    (Source.PACKAGES, version("KFP_MODULE_RELEASE")),
]
REGISTRY = "registry"


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


@dataclass(frozen=True)
class Registry:
    """A running registry; 127.0.0.1 only, or the network of kind too."""

    mirror: Mirror
    container: str

    def manifest(self, name: str) -> tuple[str, dict[str, str]]:
        """Return the digest of what the registry holds under a name, and its manifest's config."""
        path, _, tag = name.removeprefix(f"{self.mirror.host}/").rpartition(":")
        request = urllib.request.Request(
            f"http://{self.mirror.host}/v2/{path}/manifests/{tag}",
            headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - ours
            return answer.headers["Docker-Content-Digest"], json.load(answer)["config"]

    def repositories(self) -> set[str]:
        """Return the paths of all it holds."""
        with urllib.request.urlopen(f"http://{self.mirror.host}/v2/_catalog", timeout=10) as answer:
            return set(json.load(answer)["repositories"])

    def requests(self) -> str:
        """Return its access log."""
        said = process.query(["docker", "logs", self.container])
        return said.stdout + said.stderr


@pytest.fixture(scope="module", autouse=True)
def _built(request: pytest.FixtureRequest) -> None:
    """Build what is pushed, where the tests that take their time are wanted."""
    if request.config.getoption("--cluster"):
        builder.ensure([REGISTRY, "versitygw"])


def need(*names: str) -> None:
    """Skip where images are not built; `make test` is no place to build them."""
    try:
        _, digests = builder.plan(names)
    except KitError as error:
        pytest.skip(f"images cannot be built here: {error}")
    missing = [name for name in names if cache.find(name, digests[name]) is None]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)}; make images")


def start(addresses: list[str], certificate: Path | None = None) -> Iterator[Registry]:
    """Run the registry's image, published at these addresses of this machine.

    With a certificate, whose key is beside it, it speaks TLS.
    """
    need(REGISTRY)
    reference = builder.ensure([REGISTRY], load=[REGISTRY])[REGISTRY].entry.references[0]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    target = Mirror(f"127.0.0.1:{port}", f"/{uuid.uuid4().hex[:8]}")
    argv = ["docker", "run", "--detach", "--rm", "--read-only", "--cap-drop", "ALL"]
    argv += ["--env", "REGISTRY_LOG_ACCESSLOG_DISABLED=false", "--env", "OTEL_TRACES_EXPORTER=none"]
    for address in addresses:
        argv += ["--publish", f"{address}:{port}:5000"]
    if certificate:
        for name, file in (("CERTIFICATE", certificate), ("KEY", certificate.with_suffix(".key"))):
            argv += ["--volume", f"{file}:/{file.name}:ro"]
            argv += ["--env", f"REGISTRY_HTTP_TLS_{name}=/{file.name}"]
    spoken = "https" if certificate else "http"
    container = process.query([*argv, reference]).stdout.strip()
    try:
        wait_for("the registry", lambda: answers(target, spoken), timeout=30, interval=0.2)
        yield Registry(target, container)
    finally:
        process.query(["docker", "rm", "--force", "--volumes", container], check=False)
        listed = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
        for name in process.query(listed).stdout.split():
            if name.startswith(f"{target.host}/"):
                process.query(["docker", "image", "rm", name], check=False)


def answers(target: Mirror, spoken: str) -> str | None:
    try:
        found = mirror.scheme(target)
    except KitError as error:
        return str(error)
    return None if found == spoken else f"it speaks {found}"


@pytest.fixture
def registry() -> Iterator[Registry]:
    yield from start(["127.0.0.1"])


def image_id(name: str) -> str:
    return process.query(["docker", "image", "inspect", "--format", "{{.Id}}", name]).stdout.strip()


@pytest.mark.docker
def test_what_is_pushed_comes_back_the_same(registry: Registry) -> None:
    folders = ("pause", "etcd", "versitygw")
    need(*folders)
    images = [recipe.load(recipe.IMAGES / folder).references[0] for folder in folders]
    names = [registry.mirror.name(image) for image in images]

    mirror.send(registry.mirror, images, Source.PACKAGES)
    first = {name: registry.manifest(name) for name in names}
    process.query(["docker", "image", "rm", *names])
    for name in names:
        process.query(["docker", "pull", "--quiet", name])

    for image, name in zip(images, names, strict=True):
        assert image_id(name) == image_id(image) == first[name][1]["digest"]
    prefix = registry.mirror.prefix.removeprefix("/")
    assert registry.repositories() == {
        f"{prefix}/etcd",
        f"{prefix}/pause",
        f"{prefix}/kfpkit/versitygw",
    }


@pytest.mark.docker
def test_a_second_push_sends_and_changes_nothing(registry: Registry) -> None:
    need("pause")
    image = recipe.load(recipe.IMAGES / "pause").references[0]
    name = registry.mirror.name(image)

    mirror.send(registry.mirror, [image], Source.PACKAGES)
    digest, before = registry.manifest(name)[0], registry.requests().count('"PATCH /v2/')
    mirror.send(registry.mirror, [image], Source.PACKAGES)

    assert before > 0
    assert registry.manifest(name)[0] == digest
    assert registry.requests().count('"PATCH /v2/') == before


@pytest.mark.docker
def test_an_empty_mirror_has_no_node_image_and_says_how_to_fill_it(registry: Registry) -> None:
    with pytest.raises(KitError, match=r"can be pulled: .*make images-push MIRROR=127\.0\.0\.1"):
        mirror.pull_node(registry.mirror)


@pytest.mark.docker
@pytest.mark.parametrize("source", [Source.UPSTREAM, Source.PACKAGES])
def test_the_node_image_of_a_mirror_tells_what_filled_it(
    registry: Registry, source: Source
) -> None:
    """Any image will do under the node image's name: it is not run."""
    need("pause")
    builder.ensure(["pause"], load=["pause"])
    name = registry.mirror.name(mirror.node(source))
    process.query(["docker", "tag", recipe.load(recipe.IMAGES / "pause").references[0], name])
    process.query(["docker", "push", "--quiet", name])

    assert mirror.pull_node(registry.mirror) == (source, name)


def pull_on_a_node(target: Mirror, name: str) -> process.Result:
    """Let a node get an image by what `trust` tells its containerd; all of it is removed again."""
    node = f"{load().name}-control-plane"
    mirror.trust(target, [node])
    ctr = ["docker", "exec", node, "ctr", "--namespace", "kfpkit-test", "images"]
    hosts = ["--hosts-dir", mirror.NODE_CERTIFICATES]
    try:
        return process.query([*ctr, "pull", *hosts, name], check=False)
    finally:
        process.query([*ctr, "rm", name], check=False)
        folders = [f"{mirror.NODE_CERTIFICATES}/{name}" for name in (target.host, "_default")]
        process.query(["docker", "exec", node, "rm", "-rf", *folders])


@pytest.mark.docker
@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
def test_a_node_pulls_from_a_registry_on_this_machine() -> None:
    need("pause")
    image = recipe.load(recipe.IMAGES / "pause").references[0]
    with contextmanager(start)(["127.0.0.1", mirror.gateway()]) as registry:
        mirror.send(registry.mirror, [image], Source.PACKAGES)

        # By its name in the mirror, and by its own: registry.k8s.io is not asked.
        for name in (registry.mirror.name(image), image):
            pulled_there = pull_on_a_node(registry.mirror, name)
            assert pulled_there.ok, pulled_there.stderr
        assert "containerd/" in registry.requests()


@pytest.mark.docker
@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
def test_a_node_pulls_over_tls_from_a_registry_of_an_own_authority_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("pause")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    image = recipe.load(recipe.IMAGES / "pause").references[0]
    address = mirror.gateway()
    certificate = tmp_path / "registry.crt"
    key = certificate.with_suffix(".key")
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    argv += ["-subj", "/CN=registry", "-addext", f"subjectAltName=IP:{address}"]
    process.query([*argv, "-keyout", str(key), "-out", str(certificate)])
    key.chmod(0o644)  # the registry's user is not this one
    monkeypatch.setattr(mirror, "DOCKER_CERTIFICATES", tmp_path)
    with contextmanager(start)(["127.0.0.1", address], certificate) as registry:
        # Docker checks no certificate of a loopback address; the node knows it by the other one.
        mirror.send(registry.mirror, [image], Source.PACKAGES)
        port = registry.mirror.host.rpartition(":")[2]
        target = Mirror(f"{address}:{port}", registry.mirror.prefix)
        stranger = pull_on_a_node(target, target.name(image))
        authority = tmp_path / target.host / "ca.crt"
        authority.parent.mkdir()
        authority.write_text(certificate.read_text())

        pulled_there = pull_on_a_node(target, target.name(image))

        assert not stranger.ok
        assert "unknown authority" in stranger.stderr
        assert pulled_there.ok, pulled_there.stderr
