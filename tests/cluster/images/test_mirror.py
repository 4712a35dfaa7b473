"""A real registry takes every image and gives it back."""

from __future__ import annotations

import json
import shutil
import socket
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from kfpkit.cluster.config import load
from kfpkit.core import process
from kfpkit.core.errors import KitError
from kfpkit.core.waiting import wait_for
from kfpkit.images import builder, cache, mirror, recipe
from kfpkit.images.mirror import Mirror
from kfpkit.images.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


REGISTRY = "registry"


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


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    """Build what is pushed."""
    builder.ensure([REGISTRY, "versitygw"])


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
