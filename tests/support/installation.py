"""Kubeflow Pipelines in a namespace of its own: made of options for a test, gone after it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from kfpkit.cluster import lifecycle as cluster
from kfpkit.cluster import loading
from kfpkit.cluster.config import load as kind_cluster
from kfpkit.core import process
from kfpkit.kfp import secrets
from kfpkit.kfp.target import Target, choose
from kfpkit.kube import forward
from kfpkit.kube.render import MANIFESTS
from kfpkit.operations import installation as lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

#: Options of the cluster's own overlay that a second installation cannot have: its ports are taken.
PORTS = {"api-nodeport", "ui-nodeport"}

#: Two installations and a run must fit onto a machine with two processors.
SMALL = [
    {
        "op": "replace",
        "path": "/spec/template/spec/containers/0/resources/requests/cpu",
        "value": "1m",
    }
]

#: Seconds for an installation, and for a run.
PATIENCE = 900.0
RUN = 900.0


@dataclass(frozen=True)
class Wanted:
    """What a test wants installed, beside what the cluster's own overlay chooses."""

    namespace: str
    options: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: Secrets that only the test knows the values of.
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: Patches of a kustomization, each with `target` and `patch`.
    patches: tuple[Mapping[str, Any], ...] = ()


def write_overlay(folder: Path, wanted: Wanted, like: str) -> None:
    """Write an overlay with the release and the images of another one.

    Args:
        folder: Where to.
        wanted: What is to be in it.
        like: An overlay of ours.
    """

    def relative(path: Path) -> str:
        return os.path.relpath(path.resolve(), folder)

    own = yaml.safe_load((MANIFESTS / "overlays" / like / "kustomization.yaml").read_text())
    kept = [MANIFESTS / "overlays" / like / path for path in own["components"]]
    options = [path for path in kept if path.parent.name == "options" and path.name not in PORTS]
    options += [MANIFESTS / "options" / name for name in wanted.options]
    others = [path for path in kept if path.parent.name != "options"]
    small = {"target": {"kind": "Deployment|StatefulSet"}, "patch": yaml.safe_dump(SMALL)}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": wanted.namespace,
        "resources": [relative(MANIFESTS / "base"), "parameters.yaml"],
        "components": [relative(path) for path in (*options, *others)],
        "patches": [small, *map(dict, wanted.patches)],
    }
    parameters = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "parameters",
            "annotations": {"config.kubernetes.io/local-config": "true"},
        },
        "data": dict(wanted.parameters),
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization, sort_keys=False))
    (folder / "parameters.yaml").write_text(yaml.safe_dump(parameters, sort_keys=False))


@contextlib.contextmanager
def installed(folder: Path, context: str, wanted: Wanted) -> Iterator[Target]:
    """Install for the length of a `with` block; what an earlier test left is removed first."""
    like = choose(context=context)
    write_overlay(folder, wanted, like.overlay)
    target = Target(str(folder), context, like.kubectl, kind=like.kind)
    assert target.namespace == wanted.namespace
    lifecycle.uninstall(target, delete_data=True)
    try:
        cluster = [target.kubectl, "--context", context]
        process.query([*cluster, "create", "namespace", target.namespace])
        for name, values in wanted.secrets.items():
            target.query("create", "--filename", "-", stdin=secrets.manifest(name, values))
        lifecycle.install(target, timeout=PATIENCE)
        yield target
    finally:
        if not os.environ.get("KEEP"):
            lifecycle.uninstall(target, delete_data=True)
            assert not target.has_namespace()


def run(target: Target, pipeline: Any, arguments: Mapping[str, Any]) -> str:
    """Run a pipeline to its end and return the run's id; fails unless it succeeds."""
    import kfp

    with forward.opened(target, forward.API) as address:
        client = kfp.Client(host=f"http://{address}")
        made = client.create_run_from_pipeline_func(
            pipeline, arguments=dict(arguments), enable_caching=False
        )
        done = client.wait_for_run_completion(made.run_id, timeout=RUN, sleep_duration=2)
    pods = target.query("get", "pods").stdout
    assert done.state == "SUCCEEDED", f"{done.state}: {done.error}\n{pods}"
    return str(made.run_id)


def onto_nodes(images: Iterable[str]) -> None:
    """Copy images of the Docker engine onto the nodes of the kit's own cluster."""
    load = f"docker exec --interactive $0 {' '.join(loading.CTR)} import -"
    pipe = f"docker save {' '.join(images)} | {load}"
    for node in loading._nodes(cluster.observe(kind_cluster())):
        process.query(["bash", "-o", "pipefail", "-c", pipe, node], timeout=900)


def settings(target: Target) -> dict[str, dict[str, str]]:
    """Return the data of each ConfigMap of the overlay, by its name without the hash."""
    return {
        lifecycle.HASHED.sub("", d["metadata"]["name"]): d["data"]
        for d in target.documents
        if d["kind"] == "ConfigMap"
    }
