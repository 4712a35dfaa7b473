"""The manifests as they would reach a cluster: what `kubectl kustomize` makes of an overlay."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kfpkit.core import process
from kfpkit.core.errors import BadInputError
from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    Args:
        name: A folder of manifests/overlays; or, with a slash in it, the path of any other folder.

    Raises:
        BadInputError: There is no overlay of that name or at that path.
    """
    if "/" in name:
        folder = Path(name)
        if not (folder / "kustomization.yaml").is_file():
            raise BadInputError(
                f"{name} is no overlay: it has no kustomization.yaml",
                "Name its folder, or one of manifests/overlays without a slash",
            )
        return folder
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
        kubectl: The program to ask; 1.27 or newer. Where a dry run has none, only the namespace is
            known.

    Raises:
        CommandError: kubectl is missing or refuses the kustomization.
    """
    if process.dry_run() and not shutil.which(kubectl):
        own = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
        named = {"name": own.get("namespace", "kubeflow")}
        return [{"apiVersion": "v1", "kind": "Namespace", "metadata": named}]
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


def with_pods(documents: list[Document]) -> list[Document]:
    """Return the objects that make pods: the workloads, and those that run at set times."""
    return [*workloads(documents), *(d for d in documents if d["kind"] == "CronJob")]


def pod_template(workload: Document) -> Document:
    """Return the template of the pods of a workload or a CronJob."""
    spec = workload["spec"]
    template: Document = spec.get("jobTemplate", {}).get("spec", spec)["template"]
    return template


def pod_spec(workload: Document) -> Document:
    """Return the spec of the pods of a workload or a CronJob."""
    spec: Document = pod_template(workload)["spec"]
    return spec


def containers(workload: Document) -> Iterator[Document]:
    """Yield the init containers, then the containers, of a workload's pods."""
    spec = pod_spec(workload)
    yield from spec.get("initContainers", [])
    yield from spec["containers"]


def images(documents: list[Document]) -> set[str]:
    """Return every image a render names, those included that KFP and Argo take as strings."""
    named = {c["image"] for workload in with_pods(documents) for c in containers(workload)}
    for workload in workloads(documents):
        for container in containers(workload):
            named |= {
                variable["value"]
                for variable in container.get("env", [])
                if variable["name"] in ("V2_DRIVER_IMAGE", "V2_LAUNCHER_IMAGE", "EXECUTOR_IMAGE")
            }
    return named
