"""The pinned versions, each written once: in `versions.env` or in manifests/.

A tag that a manifest needs stands in a kustomization, since kubectl reads nothing else.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import yaml

from kfpkit.core.errors import KitError
from kfpkit.core.packages import HOME

if TYPE_CHECKING:
    from pathlib import Path

#: Where an installed kit has manifests/, images/ and the files of versions and of kind.
_INSTALLED = HOME / "kfpkit" / "files"

#: The folder of those: the top of the checkout, or inside the installed package.
ROOT = _INSTALLED if _INSTALLED.exists() else HOME

VERSIONS_FILE = ROOT / "versions.env"

#: The pins that are tags in manifests/: a kustomization there, and the short name of the image.
TAGS = {
    "KFP_RELEASE": ("overlays/kind", "kfp-api-server"),
    "ARGO_RELEASE": ("overlays/kind", "argoexec"),
    "UPSTREAM_MARIADB_VERSION": ("overlays/kind", "mariadb"),
    "KFP_MODULE_RELEASE": ("overlays/kind-packages", "kfp-api-server"),
    "ARGO_MODULE_VERSION": ("overlays/kind-packages", "argoexec"),
    "MLMD_VERSION": ("overlays/kind-packages", "metadata-grpc"),
    "ENVOY_VERSION": ("overlays/kind-packages", "envoy"),
    "MARIADB_VERSION": ("overlays/kind-packages", "mariadb"),
    "VERSITYGW_VERSION": ("overlays/kind-packages", "versitygw"),
    "METRICS_SERVER_VERSION": ("cluster/metrics-server", "metrics-server"),
}

_LINE = re.compile(r"(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>\S+)")


@cache
def versions() -> dict[str, str]:
    """Return all pins of `versions.env` by name.

    Raises:
        KitError: A line is neither empty, nor a comment, nor NAME=value, or names a pin twice.
    """
    pins: dict[str, str] = {}
    for number, text in enumerate(VERSIONS_FILE.read_text().splitlines(), start=1):
        if not text.strip() or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None or match["name"] in pins:
            raise KitError(
                f"versions.env line {number} is no new NAME=value: {text!r}", "Mend the line"
            )
        pins[match["name"]] = match["value"]
    return pins


@cache
def tags() -> dict[str, str]:
    """Return the pins that stand in manifests/, by the names of `TAGS`."""
    return {name: _tags(ROOT / "manifests" / path)[image] for name, (path, image) in TAGS.items()}


def version(name: str) -> str:
    """Return one pin.

    Raises:
        KitError: There is no pin of that name.
    """
    if name in TAGS:
        return tags()[name]
    try:
        return versions()[name]
    except KeyError:
        raise KitError(f"versions.env has no {name}", "Add it there") from None


@cache
def _tags(folder: Path) -> dict[str, str]:
    """Return the tags that a kustomization and its components set, by an image's short name."""
    text = (folder / "kustomization.yaml").read_text(encoding="utf-8")
    kustomization = yaml.safe_load(text)
    images = kustomization.get("images", [])
    found = {str(entry["name"]): str(entry["newTag"]) for entry in images if "newTag" in entry}
    for component in kustomization.get("components", []):
        found |= _tags((folder / component).resolve())
    return found
