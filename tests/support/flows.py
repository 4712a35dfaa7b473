"""Who may talk to whom: as docs/design/flows.md says it, and as NetworkPolicies say it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from kfpkit.core.versions import ROOT
from kfpkit.kube import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kfpkit.kube.render import Document

PAGE = ROOT / "docs/design/flows.md"

#: The label that Argo gives to every pod of a run; no render has such a pod.
RUN = "workflows.argoproj.io/workflow"
RUNS = "runs"

#: Ends of a flow that are no pods of ours, by the peer of a policy; in the page's words.
OUTSIDE = {
    (): "anywhere",
    ("169.254.20.10/32", "kube-system"): "cluster DNS",
    ("0.0.0.0/0 without 10.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16",): "the internet",
    ("169.254.169.252/32", "169.254.169.254/32"): "the metadata server",
    ("130.211.0.0/22", "35.191.0.0/16"): "Google's load balancers",
    ("monitoring",): "namespace monitoring",
}


class Flow(NamedTuple):
    """One end, the other end, and the port."""

    source: str
    target: str
    port: int


def told(parts: Iterable[str], options: Iterable[str]) -> set[Flow]:
    """Return the flows of the page between these parts and with these options."""
    there = set(parts)
    chosen = set(options)
    ends = there | set(OUTSIDE.values())
    found = set()
    for option, sources, targets, ports in _rows():
        if option and option not in chosen:
            continue
        for source in sorted(there) if sources == ["all"] else sources:
            for target in targets:
                if {source, target} <= ends:
                    found |= {Flow(source, target, int(port)) for port in ports}
    return found


def _rows() -> Iterator[tuple[str, list[str], list[str], list[str]]]:
    """Yield option (or nothing), sources, targets and ports of each row of the page's tables."""
    text = PAGE.read_text(encoding="utf-8").split("## Who starts when")[0]
    for section in text.split("\n## ")[1:]:
        rows = re.findall(r"^\| (.+) \|$", section, re.MULTILINE)[1:]
        assert rows, section
        for row in rows:
            cells = row.split(" | ")
            option = cells.pop(0).strip("`") if section.startswith("What options open") else ""
            sources, targets, ports = (cell.split(", ") for cell in cells[:3])
            yield option, sources, targets, ports


def options_told() -> set[str]:
    """Return the options that the page has rows for."""
    return {option for option, *_ in _rows() if option}


def parts(documents: list[Document]) -> set[str]:
    """Return the names of all pods of a render, and of those of runs."""
    return {labels["app.kubernetes.io/name"] for labels in labels_of_pods(documents)} | {RUNS}


def labels_of_pods(documents: list[Document]) -> list[dict[str, str]]:
    """Return the labels of the pods of each workload and each CronJob."""
    return [render.pod_template(w)["metadata"]["labels"] for w in render.with_pods(documents)]


def allowed(documents: list[Document], direction: str) -> set[Flow]:
    """Return every flow that the policies' rules of one direction allow.

    Args:
        documents: A render.
        direction: `ingress` or `egress`.
    """
    peers = "from" if direction == "ingress" else "to"
    found = set()
    for policy in documents:
        if policy["kind"] != "NetworkPolicy":
            continue
        rules = policy["spec"].get(direction, [])
        assert not rules or direction.capitalize() in policy["spec"]["policyTypes"]
        for rule in rules:
            assert rule["ports"], policy["metadata"]["name"]  # None would mean all ports.
            for port in rule["ports"]:
                for other in _ends(documents, rule.get(peers, [])):
                    for own in chosen(documents, policy["spec"]["podSelector"]):
                        pair = (own, other) if direction == "egress" else (other, own)
                        found.add(Flow(*pair, port["port"]))
    return found


def _ends(documents: list[Document], peers: list[dict[str, Any]]) -> set[str]:
    """Return the parts that a rule's peers are, or what they are outside the namespace."""
    inside: set[str] = set()
    outside = []
    for peer in peers:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            without = " without " + " ".join(sorted(block["except"])) if "except" in block else ""
            outside.append(block["cidr"] + without)
        elif "namespaceSelector" in peer:
            assert "podSelector" not in peer
            (name,) = peer["namespaceSelector"]["matchLabels"].values()
            outside.append(name)
        else:
            inside |= chosen(documents, peer["podSelector"])
    if peers and not outside:
        return inside  # Nobody, where the option without-ui or another store took the part away.
    assert not inside, "a rule that mixes pods of ours with others"
    return {OUTSIDE[tuple(sorted(outside))]}


def chosen(documents: list[Document], selector: dict[str, Any]) -> set[str]:
    """Return the parts whose pods a selector chooses."""
    pods = {labels["app.kubernetes.io/name"]: labels for labels in labels_of_pods(documents)}
    pods[RUNS] = {RUN: "any"}
    return {name for name, labels in pods.items() if matches(selector, labels)}


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector chooses a pod with these labels."""
    for wanted in selector.get("matchExpressions", []):
        have = labels.get(wanted["key"])
        assert wanted["operator"] in ("Exists", "In")
        if wanted["operator"] == "Exists" and have is None:
            return False
        if wanted["operator"] == "In" and have not in wanted["values"]:
            return False
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())
