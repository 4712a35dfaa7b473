"""targets.toml: names of yours for clusters, each with the overlay that goes there.

    [prod]
    overlay = "../deploy/prod"              # a name of manifests/overlays, or a folder
    context = "prod-cluster"                # of the kubeconfig
    host = "https://kfp.example.com/team"   # address of the API
    image_prefix = "registry.example:5000/kfp"
    pipeline_root = "gs://bucket/runs"

The first two are needed. No secret belongs here: whoever may do what is in the kubeconfig.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kfpkit.core.errors import BadInputError
from kfpkit.images import mirror
from kfpkit.kube import render

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FILE = "targets.toml"

#: The kit's own kind cluster, and the machine that the kit runs on: names of no overlay.
KIND = "kind"
LOCAL = "local"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

#: The stores that KFP's launcher writes to.
_ROOT = re.compile(r"(gs|s3|minio)://[^/\s]+(/\S*)?")


@dataclass(frozen=True)
class Entry:
    """What a name stands for.

    Attributes:
        overlay: A name of manifests/overlays, or the absolute path of a folder.
        context: A context of the kubeconfig.
        host: Address of the KFP API; empty where a port is to be opened to it.
        image_prefix: Registry, with a path or without, that the image of the sample's tasks is
            pulled from; empty for the image's own name.
        pipeline_root: Where runs keep their artifacts; empty for what the installation says.
    """

    overlay: str
    context: str
    host: str = ""
    image_prefix: str = ""
    pipeline_root: str = ""


KEYS = tuple(field.name for field in fields(Entry))
NEEDED = KEYS[:2]


def places() -> list[Path]:
    """Return where the file is looked for: the first one that is there counts, alone."""
    configuration = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return [Path.cwd() / FILE, Path(configuration) / "kfpkit" / FILE]


def find() -> Path | None:
    """Return the file that is there; None where there is none."""
    return next((file for file in places() if file.exists()), None)


def read(file: Path) -> dict[str, Entry]:
    """Return what the file says, by name.

    Raises:
        BadInputError: It cannot be read, or something in it is wrong.
    """
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInputError(
            f"the targets file {file} cannot be read: {reason}", "Mend it, or name another file"
        ) from None
    return {name: _entry(name, values, file) for name, values in said.items()}


def folder(overlay: str, base: Path) -> str:
    """Return an overlay as `render.overlay` takes it.

    Args:
        overlay: A name of manifests/overlays; else a path.
        base: What the path is relative to.
    """
    path = base / overlay
    named = overlay in render.overlays() or not (path / "kustomization.yaml").is_file()
    return overlay if named and "/" not in overlay else str(path.resolve())


def wrong_address(host: str) -> str:
    """Return what is wrong with the address of an API, without showing it; empty if it is right."""
    try:
        parts = urlsplit(host)
        port = parts.port
    except ValueError:
        return "is no address"
    if parts.username is not None or parts.password is not None:
        return "holds a name or a password"
    whole = parts.scheme in ("http", "https") and parts.hostname and port != 0
    if not whole or parts.query or parts.fragment or re.search(r"\s", host):
        return "is no address of the form https://host:port/path"
    return ""


def _entry(name: str, values: Any, file: Path) -> Entry:
    """Return a checked table of the file."""
    where = f"{file}: [{name}]"
    if not isinstance(values, dict):
        raise BadInputError(
            f"{file}: {name} stands outside of a target", "Write [NAME] above the keys of a target"
        )
    if not _NAME.fullmatch(name):
        raise BadInputError(
            f"{file}: the name {name!r} has characters that a target's name cannot have",
            "Use letters, digits, dots, - and _, the first a letter or a digit",
        )
    if name in (LOCAL, KIND, *render.overlays()):
        raise BadInputError(f"{where}: the name {name} is taken by the kit", "Choose another name")
    for key, value in values.items():
        if key not in KEYS:
            raise BadInputError(f"{where}: there is no key {key!r}", f"Keys: {', '.join(KEYS)}")
        if not isinstance(value, str) or not value.strip():
            raise BadInputError(f"{where}: {key} is no text", f'Write {key} = "..."')
    for key in NEEDED:
        if key not in values:
            raise BadInputError(f"{where}: {key} is missing", f'Add {key} = "..."')
    for key, check in _CHECKS.items():
        if key in values and (mistake := check(values[key])):
            raise BadInputError(f"{where}: {key} {mistake}", "Mend it")
    return Entry(**{**values, "overlay": folder(values["overlay"], file.parent)})


def _wrong_prefix(prefix: str) -> str:
    try:
        mirror.parse(prefix)
    except BadInputError:
        return "is no registry of the form registry.example:5000/path"
    return ""


def _wrong_root(root: str) -> str:
    return "" if _ROOT.fullmatch(root) else "is no gs://, s3:// or minio:// with a bucket"


_CHECKS: Mapping[str, Callable[[str], str]] = {
    "host": wrong_address,
    "image_prefix": _wrong_prefix,
    "pipeline_root": _wrong_root,
}
