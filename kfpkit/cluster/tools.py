"""kind and kubectl at their pinned versions: found, downloaded, or built from their Go modules."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import re
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import KitError
from kfpkit.core.versions import version
from kfpkit.images import builder, cache, recipe

if TYPE_CHECKING:
    from pathlib import Path

_DOWNLOAD_TIMEOUT = 20.0


def kind() -> str:
    """Return a kind of exactly KIND_VERSION, getting it when this machine has none.

    A release binary is taken with the checksum published beside it; where none can be had it is
    built from the module and go.sum in images/node/go.

    Raises:
        KitError: It can be neither found, nor downloaded, nor built.
    """
    want = version("KIND_VERSION")
    said = process.query(["kind", "version"], check=False)
    if said.ok and re.search(rf"\b{re.escape(want)}\b", said.stdout):
        return "kind"
    base = f"https://github.com/kubernetes-sigs/kind/releases/download/{want}/kind-{_platform('-')}"
    return _cached(
        "kind",
        want,
        url=base,
        checksum_url=f"{base}.sha256sum",
        module=recipe.IMAGES / "node/go",
        package="sigs.k8s.io/kind",
    )


@functools.cache
def kubectl() -> str:
    """Return a kubectl within one minor version of the cluster's, getting one if needed.

    Raises:
        KitError: It can be neither found, nor downloaded, nor built.
    """
    want = version("KUBERNETES_VERSION")
    # One that was got before comes first: for its version, Google's on PATH asks a cluster, and
    # waits five seconds where none answers.
    if (own := _place("kubectl", want)).exists():
        return str(own)
    said = process.query(["kubectl", "version", "--client", "--output=json"], check=False)
    if said.ok and kubectl_fits(said.stdout, want):
        return "kubectl"
    base = f"https://dl.k8s.io/release/{want}/bin/{_platform('/')}/kubectl"
    return _cached(
        "kubectl",
        want,
        url=base,
        checksum_url=f"{base}.sha256",
        module=recipe.IMAGES / "kubernetes/go",
        package="k8s.io/kubernetes/cmd/kubectl",
    )


def kubectl_fits(client_json: str, want: str) -> bool:
    """Whether a kubectl that describes itself so may talk to a cluster of version `want`.

    Kubernetes supports one minor version of difference
    (https://kubernetes.io/releases/version-skew-policy/#kubectl).
    """
    try:
        have = json.loads(client_json)["clientVersion"]["gitVersion"]
    except (ValueError, KeyError, TypeError):
        return False
    return abs(_minor(have) - _minor(want)) <= 1


def _minor(text: str) -> int:
    match = re.match(r"v1\.(\d+)", text)
    return int(match[1]) if match else -99


def _platform(separator: str) -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{platform.system().lower()}{separator}{machine}"


def _place(name: str, want: str) -> Path:
    """Return where a program of a version is kept."""
    return cache.root() / "bin" / f"{name}-{want}"


def _cached(
    name: str, want: str, *, url: str, checksum_url: str, module: Path, package: str
) -> str:
    path = _place(name, want)
    if path.exists():
        return str(path)
    if process.dry_run():
        console.warn(f"there is no {name} {want} here, and a dry run gets none")
        return name
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        if not _download(url, checksum_url, part):
            console.say(f"{name} {want} cannot be downloaded: building it")
            _build(module, package, want, part)
        part.chmod(0o755)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return str(path)


def _download(url: str, checksum_url: str, to: Path) -> bool:
    """Download a program; False when it cannot be had from there.

    Raises:
        KitError: It came, and its checksum is wrong.
    """
    try:
        with urllib.request.urlopen(checksum_url, timeout=_DOWNLOAD_TIMEOUT) as answer:  # noqa: S310
            expected = answer.read().decode().split()[0]
        console.say(f"downloading {url}")
        with urllib.request.urlopen(url, timeout=_DOWNLOAD_TIMEOUT) as answer:  # noqa: S310
            content = answer.read()
    except (OSError, ValueError, IndexError):
        return False
    if hashlib.sha256(content).hexdigest() != expected:
        raise KitError(f"{url} does not have the checksum of {checksum_url}", "Try again later")
    to.write_bytes(content)
    return True


def _build(module: Path, package: str, want: str, to: Path) -> None:
    builder.require_go()
    flags = "-s -w"
    for package_path in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        flags += f" -X {package_path}.gitVersion={want}"
    argv = ["go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly"]
    argv += [builder.NO_DEBUGGING, "-ldflags", flags]
    process.run(
        [*argv, "-o", str(to), package],
        cwd=module,
        env={**builder.go_env(), "CGO_ENABLED": "0"},
    )
