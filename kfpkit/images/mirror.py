"""A registry of yours that holds every image: what belongs into it, filling it, trusting it."""

from __future__ import annotations

import ipaddress
import re
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, KitError, join_names
from kfpkit.core.versions import version
from kfpkit.images import builder, recipe
from kfpkit.images.source import Source
from kfpkit.kube.render import MANIFESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

#: The releases a source is asked for when none is named.
DEFAULT_RELEASE = {Source.UPSTREAM: "KFP_RELEASE", Source.PACKAGES: "KFP_MODULE_RELEASE"}

#: Where Docker looks for the certificate authority of a registry, and containerd on a node too:
#: https://docs.docker.com/engine/security/certificates,
#: https://github.com/containerd/containerd/blob/main/docs/hosts.md
DOCKER_CERTIFICATES = Path("/etc/docker/certs.d")
NODE_CERTIFICATES = "/etc/containerd/certs.d"

#: Makes a node's containerd read that folder. Kind's node images have a configuration of version 2.
CONTAINERD_PATCH = f"""\
version = 2
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{NODE_CERTIFICATES}"
"""

#: Seconds to wait for the registry's answer.
TIMEOUT = 10.0

_HOST = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_MIRROR = re.compile(
    rf"(?P<host>{_HOST}(?::(?P<port>\d{{1,5}}))?)(?P<prefix>(?:/{_PART})*)", re.IGNORECASE
)


@dataclass(frozen=True)
class Mirror:
    """A registry, and the path in it under which the images lie."""

    #: `name` or `name:port`.
    host: str
    #: Empty, or a path that begins with a slash.
    prefix: str

    @property
    def loopback(self) -> bool:
        """Whether the host's name means this machine, so that it leads nowhere from a node."""
        name = self.host.rpartition(":")[0] or self.host
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost"

    def name(self, reference: str) -> str:
        """Return an image's name in the mirror.

        It takes the registry's place, as manifests/images/mirror and the nodes' containerd do it;
        a name without a registry is one of docker.io. A digest is left out: a registry computes
        another one when it holds one platform of several.
        """
        path = reference.partition("@")[0]
        first, _, rest = path.partition("/")
        if "." in first or ":" in first or first == "localhost":
            path = rest
        return f"{self.host}{self.prefix}/{path}"


def parse(text: str) -> Mirror:
    """Read the value of MIRROR.

    Raises:
        BadInputError: It is no registry with an optional path.
    """
    if not text:
        raise BadInputError("MIRROR is not set", "Add MIRROR=registry.example:5000/prefix")
    match = _MIRROR.fullmatch(text)
    # As in an image's name, the first part is a registry only if it looks like one.
    registry = match and ("." in match["host"] or match["port"] or match["host"] == "localhost")
    if not match or not registry or int(match["port"] or 1) not in range(1, 65536):
        raise BadInputError(
            f"MIRROR={text} is no registry",
            "Write host, port and path without https:// as in MIRROR=registry.example:5000/prefix",
        )
    if match["prefix"] != match["prefix"].lower():
        raise BadInputError(f"MIRROR={text} has capitals in its path", "Use small letters")
    return Mirror(match["host"], match["prefix"])


def listed(source: Source, release: str = "") -> list[str]:
    """Return every image that is pulled for a release: the cluster's, the manifests', the sample's.

    Args:
        source: `upstream` or `packages`.
        release: A folder of manifests/releases; default the one the source's overlay is for.

    Raises:
        BadInputError: No such release, the source cannot serve it, or the source is `mirror`.
    """
    if source not in DEFAULT_RELEASE:
        raise BadInputError(
            "IMAGES=mirror has no list of its own", "Say what fills it: IMAGES=upstream or packages"
        )
    release = release or version(DEFAULT_RELEASE[source])
    releases = sorted(file.parent.name for file in MANIFESTS.glob("releases/*/kustomization.yaml"))
    if release not in releases:
        raise BadInputError(f"there is no release {release}", f"Use one of {join_names(releases)}")
    if source is Source.PACKAGES and release != version("KFP_MODULE_RELEASE"):
        raise BadInputError(
            f"release {release} cannot be built from packages",
            f"Use RELEASE={version('KFP_MODULE_RELEASE')}, or IMAGES=upstream",
        )
    named = _names(f"releases/{release}")
    for name, entry in _names(f"images/{source}/names").items():
        named[name] = {**named.get(name, {}), **entry}
    images = {f"{entry['newName']}:{entry['newTag']}" for entry in named.values()}
    if source is Source.PACKAGES:
        # The web UI is in no package registry.
        images &= _built(source).keys()
    # The sample's image comes last: it is built here under every source.
    return [node(source), metrics_server(), *sorted(images), _recipe_name("python-runtime")]


def node(source: Source) -> str:
    """Return the node image of a source by its own name."""
    if source is Source.UPSTREAM:
        return version("NODE_IMAGE")
    return _recipe_name("node")


def metrics_server() -> str:
    """Return the one image of the cluster that not every node image brings along."""
    return _recipe_name("metrics-server")


def push(
    mirror: Mirror,
    source: Source,
    release: str = "",
    *,
    confirm: Callable[[str], bool] | None = None,
) -> None:
    """Fill a mirror; what it holds already is not sent again.

    Args:
        mirror: The registry.
        source: Where its images come from.
        release: As in `listed`.
        confirm: As in `builder.ensure`.

    Raises:
        BadInputError: As `listed`.
        KitError: The registry does not answer, or an image cannot be had or pushed.
    """
    images = listed(source, release)
    if not process.dry_run():
        scheme(mirror)
    send(mirror, images, source, confirm=confirm)
    if not process.dry_run():
        console.say(f"{mirror.host}{mirror.prefix} holds {len(images)} images of {source}")


def send(
    mirror: Mirror,
    images: Sequence[str],
    source: Source,
    *,
    confirm: Callable[[str], bool] | None = None,
) -> None:
    """Get each image into the engine, by a build where the source makes it, and push it."""
    built = _built(source)
    for number, image in enumerate(images, start=1):
        console.say(f"{number}/{len(images)} {image}")
        if image in built:
            if not process.dry_run():
                public = source is Source.UPSTREAM
                name = built[image]
                builder.ensure([name], load=[name], public=public, confirm=confirm)
        else:
            process.run(["docker", "pull", "--quiet", image])
        name = mirror.name(image)
        process.run(["docker", "tag", image, name])
        process.run(
            ["docker", "push", "--quiet", name],
            do=f"If it asks who you are: docker login {mirror.host}. If it speaks plain http: add "
            "it to insecure-registries in /etc/docker/daemon.json",
        )


def scheme(mirror: Mirror) -> str:
    """Return `https` or `http`, whichever the registry speaks; certificates are Docker's to check.

    Raises:
        KitError: No registry answers there.
    """
    # Only to find out what it speaks; nothing that comes from there is used.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    why = ""
    for found in ("https", "http"):
        url = f"{found}://{mirror.host}/v2/"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT, context=context):  # noqa: S310
                return found
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return found
            why = f"it answers {error.code} to {url}"
        except (OSError, ValueError) as error:
            why = why or str(getattr(error, "reason", error))
    raise KitError(f"no registry answers at {mirror.host}: {why}", "Check MIRROR and the network")


def pull_node(mirror: Mirror) -> tuple[Source, str]:
    """Pull the node image that the mirror holds; return which source filled it, and its name there.

    Raises:
        KitError: It holds none that this kit can use.
    """
    names = {source: mirror.name(node(source)) for source in DEFAULT_RELEASE}
    said = ""
    for source, name in names.items():
        pulled = process.run(["docker", "pull", "--quiet", name], check=False)
        if pulled.ok:
            return source, name
        said = pulled.stderr.strip().splitlines()[-1] if pulled.stderr.strip() else "no answer"
    raise KitError(
        f"neither {' nor '.join(names.values())} can be pulled: {said}",
        f"Fill the mirror: make images-push MIRROR={mirror.host}{mirror.prefix}",
    )


def trust(mirror: Mirror, nodes: Iterable[str]) -> None:
    """Let nodes of kind pull from the mirror, and from nowhere else.

    They are told how the registry is reached (on this machine, by plain http, by a certificate
    authority of its own, which is taken from where Docker has it), and that every other registry's
    images are there too: ghcr.io/kubeflow/x is asked for as PREFIX/kubeflow/x.
    """
    authority = DOCKER_CERTIFICATES / mirror.host / "ca.crt"
    folder = f"{NODE_CERTIFICATES}/{mirror.host}"
    spoken = "https" if process.dry_run() else scheme(mirror)
    host = mirror.host
    if mirror.loopback:
        host = f"{gateway()}:{mirror.host.rpartition(':')[2]}"
    certificate = f"{folder}/ca.crt" if authority.exists() else ""
    files = {
        f"{folder}/hosts.toml": hosts_toml(f"{spoken}://{host}/v2", certificate),
        f"{NODE_CERTIFICATES}/_default/hosts.toml": hosts_toml(
            f"{spoken}://{host}/v2{mirror.prefix}", certificate
        ),
    }
    if certificate:
        files[certificate] = authority.read_text(encoding="utf-8")
    for name in nodes:
        process.run(
            ["docker", "exec", name, "mkdir", "-p", folder, f"{NODE_CERTIFICATES}/_default"]
        )
        for file, text in files.items():
            process.run(
                ["docker", "exec", "--interactive", name, "cp", "/dev/stdin", file], stdin=text
            )


def hosts_toml(server: str, certificate: str) -> str:
    """Return containerd's description of a registry.

    Args:
        server: The address that goes before an image's path, /v2 included.
        certificate: The file of its certificate authority, or an empty text.
    """
    # containerd 1.6 reads nothing without a table; `server` leaves out the image's own registry.
    rows = [
        f'server = "{server}"',
        f'[host."{server}"]',
        'capabilities = ["pull", "resolve"]',
        "override_path = true",
    ]
    if certificate:
        rows.append(f'ca = "{certificate}"')
    return "\n".join(rows) + "\n"


def gateway() -> str:
    """Return the address under which kind's nodes reach this machine.

    Raises:
        KitError: There is no network named kind, or it has no IPv4 gateway.
    """
    template = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"
    seen = process.query(
        ["docker", "network", "inspect", "kind", "--format", template], check=False
    )
    found = [address for address in seen.stdout.split() if re.fullmatch(r"[0-9.]+", address)]
    if not found and process.dry_run():
        return "GATEWAY"  # kind makes its network with the first cluster
    if not found:
        raise KitError(
            "Docker's network kind has no IPv4 gateway, so no node reaches this machine",
            "Name the registry by an address that the nodes reach",
        )
    return found[0]


def _names(folder: str) -> dict[str, dict[str, str]]:
    """Return a kustomization's `images`, by the short name."""
    text = (MANIFESTS / folder / "kustomization.yaml").read_text(encoding="utf-8")
    return {entry["name"]: dict(entry) for entry in yaml.safe_load(text)["images"]}


def _recipe_name(folder: str) -> str:
    return recipe.load(recipe.IMAGES / folder).references[0]


def _built(source: Source) -> dict[str, str]:
    """Return the recipe of each image that is built here under this source, by the image's name."""
    return {
        reference: name
        for reference, name in recipe.by_reference().items()
        # Others have the names of the upstream images that they stand in for.
        if source is Source.PACKAGES or reference.startswith(recipe.OWN)
    }
