"""The two installations that are compared, side by side on one cluster, and whose turn it is."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.core.versions import ROOT
from kfpkit.kfp import secrets
from kfpkit.kube import health, render
from kfpkit.operations import installation

if TYPE_CHECKING:
    from typing import Any

    from kfpkit.kfp.target import Target

#: The kustomization with upstream's settings, and the overlay whose parts and images it has.
UPSTREAM = ROOT / "benchmarks" / "upstream"
BESIDE = "kind-packages"

#: What a part asks for while it is the other side's turn. Both sides' requests together leave the
#: two processors of a small node nothing for the pods of runs.
ASIDE = "10m"


@dataclass(frozen=True)
class Side:
    """One of the two."""

    #: `ours` or `upstream`.
    name: str
    target: Target

    @property
    def title(self) -> str:
        """It for a person."""
        return {"ours": "this kit", "upstream": "upstream's settings"}[self.name]


def both(target: Target) -> tuple[Side, Side]:
    """Return ours, and upstream's settings beside it.

    Raises:
        BadInputError: Upstream's settings are not written down for this overlay.
    """
    if target.overlay != BESIDE or target.kind is None:
        raise BadInputError(
            f"make bench compares the overlay {BESIDE} on a kind cluster with upstream's settings "
            f"for the same images; this is the overlay {target.overlay} on {target.context}",
            "make cluster-up IMAGES=packages, make install, then make bench",
        )
    return Side("ours", target), Side("upstream", replace(target, overlay=str(UPSTREAM), name=""))


def install(ours: Side, upstream: Side, *, timeout: float) -> None:
    """Install upstream's settings, or bring what is there of them to what the kustomization says.

    `installation.install` is not asked: what it does beyond applying the overlay is the kit's.
    """
    target = upstream.target
    console.say(f"upstream's settings to the namespace {target.namespace} of {target.context}")
    _ask(ours.target, aside=True)
    for name, values in secrets.missing(target).items():
        if not target.has_namespace():
            target.run("create", "namespace", target.namespace)
        target.run("create", "--filename", "-", stdin=secrets.manifest(name, values))
    process.run(target.apply)
    installation.wait_until_ready(target, timeout=timeout)


def remove(upstream: Side) -> None:
    """Remove upstream's settings with all runs of theirs; the kinds stay, which ours needs too."""
    installation.uninstall(upstream.target, delete_data=True)


def removal(upstream: Side) -> str:
    """Return the command that removes upstream's settings by hand."""
    return upstream.target.line("delete", "namespace", upstream.target.namespace)


def give_turn(side: Side, other: Side) -> None:
    """Have one side's parts ask for what its manifests say, and the other's for next to nothing.

    No pod is restarted: Kubernetes changes the requests of a running one.
    """
    _ask(other.target, aside=True)
    _ask(side.target, aside=False)


def _ask(target: Target, *, aside: bool) -> None:
    wanted = asked(target.documents)
    for pod in target.items(["pods"], f"--selector={health.OWNED},!job-name"):
        part = pod["metadata"]["labels"].get(health.PART, "")
        spec = resized(pod, wanted.get(part, {}), aside=aside)
        if spec["containers"]:
            name, text = pod["metadata"]["name"], json.dumps({"spec": spec})
            # Not printed: eight lines at every turn.
            target.query("patch", "pod", name, "--subresource=resize", "--patch", text)


def asked(documents: list[render.Document]) -> dict[str, dict[str, str]]:
    """Return the processor that each container of a render's workloads asks for, by the part."""
    return {
        workload["metadata"]["name"]: {
            one["name"]: one["resources"]["requests"]["cpu"]
            for one in render.pod_spec(workload)["containers"]
            if "cpu" in one.get("resources", {}).get("requests", {})
        }
        for workload in render.workloads(documents)
    }


def resized(
    pod: dict[str, Any], wanted: dict[str, str], *, aside: bool
) -> dict[str, list[dict[str, Any]]]:
    """Return what changes of a pod's spec so that it asks for what is wanted, or steps aside.

    A container that asks for nothing goes on so: Kubernetes takes no request away from a pod.
    """
    now = {
        one["name"]: one.get("resources", {}).get("requests", {}).get("cpu")
        for one in pod["spec"]["containers"]
    }
    new = {name: ASIDE if aside else cpu for name, cpu in wanted.items()}
    return {
        "containers": [
            {"name": name, "resources": {"requests": {"cpu": cpu}}}
            for name, cpu in new.items()
            if name in now and now[name] != cpu
        ]
    }
