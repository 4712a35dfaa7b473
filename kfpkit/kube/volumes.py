"""Volumes of a namespace: whether each claim has one, and how much room is left in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kfpkit.core.findings import Finding, fault, ok, skipped, warning
from kfpkit.kube import health

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.kube.kubectl import Kubectl

#: What must be free of a volume, as a share and at most in bytes: less is a warning, or a fault.
FREE, FREE_AT_LEAST = (0.15, 20 * 2**30), (0.05, 5 * 2**30)


def storage(target: Kubectl) -> Iterator[Finding]:
    """Every claim has its volume, and there is room in it."""
    claims = target.items(["persistentvolumeclaims"])
    for claim in claims:
        name, phase = claim["metadata"]["name"], claim["status"]["phase"]
        # A claim that a run made may well wait for its first pod.
        ours = health.PART in claim["metadata"].get("labels", {})
        if phase == "Lost" or (ours and phase != "Bound"):
            yield fault(f"claim {name} is {phase}", target.line("describe", "pvc", name))
    if not claims:
        yield skipped("no claims: the stores are outside the cluster")
        return
    for pod in target.items(["pods"], "--selector", health.OWNED):
        node = pod["spec"].get("nodeName")
        names = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"]["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        if not names or not node:
            continue
        path = f"/api/v1/nodes/{node}/proxy/stats/summary"
        asked = target.query("get", "--raw", path, check=False)
        look = target.line("get", "--raw", path)
        if not asked.ok:
            yield skipped(f"the free space of {', '.join(names)} is not told by {node}", look)
            continue
        for name in names:
            yield from space(json.loads(asked.stdout), name, target.namespace, node, look)


def space(
    summary: dict[str, Any], claim: str, namespace: str, node: str, look: str
) -> Iterator[Finding]:
    """Say how much room a claim's volume has.

    Args:
        summary: The kubelet's answer to `stats/summary`.
        claim: Name of the claim.
        namespace: The claim's.
        node: Name of the node that has the volume.
        look: The command that shows more.
    """
    reference = {"name": claim, "namespace": namespace}
    volumes = [v for pod in summary.get("pods", []) for v in pod.get("volume", [])]
    # A volume that is a folder of the node has no figures of its own.
    own = next((v for v in volumes if v.get("pvcRef") == reference and "capacityBytes" in v), None)
    figures = own or summary["node"].get("fs", {})
    where = claim if own else f"{claim} (a folder on the disk of {node})"
    for what, free, whole in (
        ("bytes", figures.get("availableBytes"), figures.get("capacityBytes")),
        ("inodes", figures.get("inodesFree"), figures.get("inodes")),
    ):
        if free is None or not whole:
            continue
        share = free / whole
        # A twentieth of a large disk is much, while inodes count by their share alone.
        lack, low = (
            share < least and (free < most or what == "inodes")
            for least, most in (FREE_AT_LEAST, FREE)
        )
        amount = f"{free / 2**30:.1f} of {whole / 2**30:.1f} GiB" if what == "bytes" else what
        said = f"{where}: {amount} free ({share:.0%})"
        if lack:
            yield fault(said, look)
        elif low:
            yield warning(said, look)
        elif what == "bytes":
            yield ok(said)
