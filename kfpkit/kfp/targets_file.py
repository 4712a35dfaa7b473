"""targets.toml: names of yours for clusters, each with the overlay that goes there; and Vertex AI.

    [prod]
    overlay = "../deploy/prod"              # a name of manifests/overlays, or a folder
    context = "prod-cluster"                # of the kubeconfig
    host = "https://kfp.example.com/team"   # address of the API
    image_prefix = "registry.example:5000/kfp"
    pipeline_root = "gs://bucket/runs"

The first two are needed. A table with a project is a target on Vertex AI:

    [vertex-prod]
    project = "example-project"
    location = "europe-west4"
    pipeline_root = "gs://bucket/runs"
    service_account = "pipelines@example-project.iam.gserviceaccount.com"
    network = "projects/12345/global/networks/private"
    labels = { team = "birds" }
    caching = false
    image_prefix = "europe-west4-docker.pkg.dev/example-project/images"
    experiment = "birds"

The first three are needed. No secret belongs here: whoever may do what is in the kubeconfig, or
with Google's credentials of this machine.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, fields
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

#: Of a label of Google Cloud, beside that it is small: its letters may be any script's.
_LABEL = re.compile(r"[\w-]{1,64}")

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


@dataclass(frozen=True)
class Vertex:
    """Vertex AI Pipelines in a project and a location of Google Cloud.

    Attributes:
        name: What the user calls it.
        project: ID of the project.
        location: The region.
        pipeline_root: Where runs keep their artifacts, `gs://bucket/path`.
        service_account: As whom tasks run; empty for the project's default.
        network: The VPC network that tasks are peered with, `projects/NUMBER/global/networks/NAME`.
        labels: Of each run.
        caching: Whether tasks may take outputs of earlier runs; None for what the pipeline says.
        image_prefix: As of `Entry`.
        experiment: The experiment of Vertex AI that takes the runs; empty for none.
        api_endpoint: Address of the API; empty for that of the location.
        credentials: `anonymous` for none, for a stand-in; empty for those of this machine's user.
    """

    name: str
    project: str
    location: str
    pipeline_root: str
    service_account: str = ""
    network: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    caching: bool | None = None
    image_prefix: str = ""
    experiment: str = ""
    api_endpoint: str = ""
    credentials: str = ""


KEYS = tuple(each.name for each in fields(Entry))
NEEDED = KEYS[:2]

#: The same of a target on Vertex AI, whose name is the table's.
VERTEX_KEYS = tuple(each.name for each in fields(Vertex))[1:]
VERTEX_NEEDED = VERTEX_KEYS[:3]


def places() -> list[Path]:
    """Return where the file is looked for: the first one that is there counts, alone."""
    configuration = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return [Path.cwd() / FILE, Path(configuration) / "kfpkit" / FILE]


def find() -> Path | None:
    """Return the file that is there; None where there is none."""
    return next((file for file in places() if file.exists()), None)


def read(file: Path) -> dict[str, Entry | Vertex]:
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


def vertex(name: str, file: Path | None = None) -> Vertex | None:
    """Return the target on Vertex AI that a name stands for; None where it stands for none.

    Args:
        name: The name.
        file: The targets.toml; default the one that is found.

    Raises:
        BadInputError: As of `read`.
    """
    file = file or find()
    entry = read(file).get(name) if file else None
    return entry if isinstance(entry, Vertex) else None


def _entry(name: str, values: Any, file: Path) -> Entry | Vertex:
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
    on_vertex = not {"project", "location"}.isdisjoint(values)
    keys, needed = (VERTEX_KEYS, VERTEX_NEEDED) if on_vertex else (KEYS, NEEDED)
    for key, value in values.items():
        if key not in keys:
            of = " of a target on Vertex AI" if on_vertex and key in KEYS else ""
            raise BadInputError(f"{where}: there is no key {key!r}{of}", f"Keys: {', '.join(keys)}")
        if key in _OTHERS:
            kind, form = _OTHERS[key]
            if not isinstance(value, kind):
                raise BadInputError(f"{where}: {key} is not of its form", f"Write {key} = {form}")
        elif not isinstance(value, str) or not value.strip():
            raise BadInputError(f"{where}: {key} is no text", f'Write {key} = "..."')
    for key in needed:
        if key not in values:
            raise BadInputError(f"{where}: {key} is missing", f'Add {key} = "..."')
    for key, check in (_VERTEX_CHECKS if on_vertex else _CHECKS).items():
        if key in values and (mistake := check(values[key])):
            raise BadInputError(f"{where}: {key} {mistake}", "Mend it")
    if on_vertex:
        return Vertex(name=name, **values)
    return Entry(**{**values, "overlay": folder(values["overlay"], file.parent)})


def _wrong_prefix(prefix: str) -> str:
    try:
        mirror.parse(prefix)
    except BadInputError:
        return "is no registry of the form registry.example:5000/path"
    return ""


def _wrong_root(root: str) -> str:
    return "" if _ROOT.fullmatch(root) else "is no gs://, s3:// or minio:// with a bucket"


def _wrong_labels(labels: dict[str, Any]) -> str:
    for key, value in labels.items():
        if not isinstance(value, str):
            return f"has {key} = {value!r}, which is no text"
        if not _LABEL.fullmatch(key) or not key[0].isalpha() or key != key.lower():
            return f"has {key!r}: a key has up to 64 small letters, digits, - and _, a letter first"
        if value and (not _LABEL.fullmatch(value) or value != value.lower()):
            return f"has {key} = {value!r}: a value has up to 64 small letters, digits, - and _"
    return ""


def _unlike(pattern: str, form: str) -> Callable[[str], str]:
    return lambda text: "" if re.fullmatch(pattern, text) else f"is no {form}"


#: Keys whose value is no text: its type, and how it is written.
_OTHERS: Mapping[str, tuple[type, str]] = {
    "labels": (dict, '{ team = "birds" }'),
    "caching": (bool, "true or false"),
}

_CHECKS: Mapping[str, Callable[[str], str]] = {
    "host": wrong_address,
    "image_prefix": _wrong_prefix,
    "pipeline_root": _wrong_root,
}

_VERTEX_CHECKS: Mapping[str, Callable[[Any], str]] = {
    "project": _unlike(r"([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|\d+", "ID of a project"),
    "location": _unlike(r"[a-z]+(-[a-z]+)*\d*", "location, as europe-west4"),
    "pipeline_root": _unlike(r"gs://[a-z0-9][a-z0-9._-]+(/\S*)?", "gs:// with a bucket"),
    "service_account": _unlike(r"[^@\s]+@[^@\s]+\.[^@\s]+", "address of a service account"),
    "network": _unlike(
        r"projects/\d+/global/networks/[a-z][a-z0-9-]*",
        "projects/NUMBER/global/networks/NAME, the number being the project's",
    ),
    "labels": _wrong_labels,
    "image_prefix": _wrong_prefix,
    "api_endpoint": wrong_address,
    "credentials": _unlike("anonymous", '"anonymous", the one way beside Google\'s own'),
}
