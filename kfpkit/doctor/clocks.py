"""The clocks of this machine and of every node, beside that of the Kubernetes API."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kfpkit.core import process
from kfpkit.core.findings import Finding, fault, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kfpkit.kfp.target import Target

#: Seconds that a node may take to tell its time again: a quarter of a Lease's 40, and some more
#: (https://kubernetes.io/docs/concepts/architecture/nodes/#node-heartbeats).
RENEWED = 20.0

#: Seconds by which clocks may differ.
APART = 30.0

#: Seconds from which on an object store refuses what was signed by the other clock
#: (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, RequestTimeTooSkewed).
REFUSED = 900.0

#: Where the nodes tell their time.
LEASES = ("get", "leases", "--namespace=kube-node-lease", "--output=json")

#: The Kubernetes API writes its time into what it would create; to the second.
ASKED = ("create", "configmap", "kfpkit-clock", "--dry-run=server", "--output=json")


def clocks(target: Target) -> Iterator[Finding]:
    """The clocks agree."""
    began = time.time()
    said = target.query(*ASKED, check=False)
    if not said.ok:
        yield skipped("the Kubernetes API does not tell its time", target.line(*ASKED))
        return
    stamped = json.loads(said.stdout)["metadata"]["creationTimestamp"]
    # Half a second more, since it was cut off to the whole second.
    ahead = (began + time.time()) / 2 - _seconds(stamped) - 0.5
    base = [target.kubectl, "--context", target.context]
    asked = process.query([*base, *LEASES], check=False)
    if not asked.ok:
        yield skipped(
            "the nodes' clocks: their Leases may not be read", process.line([*base, *LEASES])
        )
    now = time.time()
    leases = json.loads(asked.stdout)["items"] if asked.ok else []
    nodes = process.query([*base, "get", "nodes", "--output=json"]) if leases else None
    lost = silent(json.loads(nodes.stdout)["items"]) if nodes else set()
    yield from judge(ahead, [one for one in leases if one["metadata"]["name"] not in lost], now)


def silent(nodes: Iterable[dict[str, Any]]) -> set[str]:
    """Return the nodes that are not ready: what they told of their time is of then."""
    return {
        node["metadata"]["name"]
        for node in nodes
        for condition in node["status"].get("conditions", [])
        if condition["type"] == "Ready" and condition["status"] != "True"
    }


def judge(ahead: float, leases: Iterable[dict[str, Any]], now: float) -> Iterator[Finding]:
    """Say which clocks are wrong.

    Args:
        ahead: Seconds by which this machine is ahead of the Kubernetes API.
        leases: Of the nodes.
        now: This machine's time when they were asked for, in seconds since 1970.
    """
    off = {"this machine": ahead}
    for lease in leases:
        told = _seconds(lease["spec"]["renewTime"]) - (now - ahead)
        # What was told up to so long ago says nothing about a clock.
        off[f"node {lease['metadata']['name']}"] = told if told > 0 else min(0.0, told + RENEWED)
    worst = max(map(abs, off.values()))
    if worst <= APART:
        yield ok(f"of {len(off)} clocks none is seen more than {APART:.0f} s off")
    for name, seconds in off.items():
        if abs(seconds) > APART:
            way = "ahead of" if seconds > 0 else "behind"
            said = f"{name} is {abs(seconds):.0f} s {way} the Kubernetes API"
            refused = abs(seconds) >= REFUSED
            why = ": object stores refuse what it signs" if refused else ""
            found = fault if refused else warning
            yield found(f"{said}{why}", "timedatectl status  # on it; `set-ntp true` mends it")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
