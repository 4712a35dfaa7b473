"""The manifests as they would reach a cluster: what `kubectl kustomize` makes of an overlay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from kfpkit import process
from kfpkit.errors import BadInputError
from kfpkit.versions import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: One Kubernetes object.
Document = dict[str, Any]

MANIFESTS = ROOT / "manifests"

#: Kinds whose `spec.template` is that of pods which are to run for ever.
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


def overlays() -> list[str]:
    """Return the names of the overlays."""
    return sorted(file.parent.name for file in MANIFESTS.glob("overlays/*/kustomization.yaml"))


def overlay(name: str) -> Path:
    """Return the folder of an overlay.

    Raises:
        BadInputError: There is no overlay of that name.
    """
    if name not in overlays():
        raise BadInputError(
            f"there is no overlay {name!r} in manifests/overlays",
            f"Choose one of {', '.join(overlays())}",
        )
    return MANIFESTS / "overlays" / name


def render(folder: Path, *, kubectl: str = "kubectl") -> list[Document]:
    """Render a kustomization; offline, since none has a remote base.

    Args:
        folder: The folder that holds the kustomization.
        kubectl: The program to ask; 1.27 or newer.

    Raises:
        CommandError: kubectl is missing or refuses the kustomization.
    """
    return parse(process.query([kubectl, "kustomize", str(folder)]).stdout)


def parse(text: str) -> list[Document]:
    """Return the objects of a YAML stream."""
    return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]


def namespace(documents: list[Document]) -> str:
    """Return the namespace that a render is for.

    Raises:
        BadInputError: The render has not exactly one Namespace.
    """
    names = [d["metadata"]["name"] for d in documents if d["kind"] == "Namespace"]
    if len(names) != 1:
        raise BadInputError(
            f"the overlay makes {len(names)} namespaces, not one", "Set `namespace:` in it"
        )
    return str(names[0])


def workloads(documents: list[Document]) -> list[Document]:
    """Return the objects that keep pods running."""
    return [document for document in documents if document["kind"] in WORKLOADS]


def pod_spec(workload: Document) -> Document:
    """Return the spec of a workload's pods."""
    spec: Document = workload["spec"]["template"]["spec"]
    return spec


def containers(workload: Document) -> Iterator[Document]:
    """Yield the init containers, then the containers, of a workload's pods."""
    spec = pod_spec(workload)
    yield from spec.get("initContainers", [])
    yield from spec["containers"]


def images(documents: list[Document]) -> set[str]:
    """Return every image a render names, those included that KFP and Argo take as strings."""
    named = {c["image"] for workload in workloads(documents) for c in containers(workload)}
    for workload in workloads(documents):
        for container in containers(workload):
            named |= {
                variable["value"]
                for variable in container.get("env", [])
                if variable["name"] in ("V2_DRIVER_IMAGE", "V2_LAUNCHER_IMAGE")
            }
            args = container.get("args", [])
            if "--executor-image" in args:
                named.add(args[args.index("--executor-image") + 1])
    return named
