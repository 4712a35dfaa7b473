"""The cluster's life: what is there, making it, removing it."""

from __future__ import annotations

import copy
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import yaml

from kfpkit.cluster import preflight, tools
from kfpkit.core import console, process
from kfpkit.core.errors import KitError, join_names
from kfpkit.core.findings import Verdict
from kfpkit.core.versions import version
from kfpkit.core.waiting import wait_for
from kfpkit.images import builder, cache, engine
from kfpkit.images import mirror as mirrors
from kfpkit.images import source as sources
from kfpkit.images.source import Source
from kfpkit.kube.render import MANIFESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from kfpkit.cluster.config import KindCluster
    from kfpkit.images.mirror import Mirror

#: ConfigMap in kube-system, written last: with it the cluster is complete.
MARKER = "kfpkit-cluster"

#: Namespaces that a cluster has before anybody uses it.
OWN_NAMESPACES = {
    "default",
    "kube-node-lease",
    "kube-public",
    "kube-system",
    "local-path-storage",
}

#: The image the packages' cluster is made of; `images/node`.
NODE = "node"


class State(StrEnum):
    """What is there of the cluster."""

    ABSENT = "absent"
    COMPLETE = "complete"
    #: All is there, its containers do not run.
    STOPPED = "stopped"
    #: We began to make it and did not finish; nobody has used it.
    HALF_MADE = "half-made"
    #: It was made by other means than the kit's.
    FOREIGN = "foreign"
    #: It was complete and its API does not answer.
    BROKEN = "broken"


@dataclass(frozen=True)
class Seen:
    """What can be observed of the cluster."""

    #: State of each node's container (`running`, `exited`, ...), by name.
    containers: Mapping[str, str]
    #: Whether the Kubernetes API answers.
    api: bool = False
    #: Data of the marker, or None.
    marker: Mapping[str, str] | None = None
    namespaces: frozenset[str] = frozenset()
    #: Whether this machine notes that the kit began to make a cluster and did not finish.
    begun: bool = False


def judge(seen: Seen) -> State:
    """Return what the observations mean."""
    if not seen.containers:
        return State.ABSENT
    if seen.marker is not None:
        return State.COMPLETE
    if seen.begun:
        # Something else may have got into it all the same; then it is not ours to remove.
        return State.FOREIGN if seen.namespaces - OWN_NAMESPACES else State.HALF_MADE
    if any(state != "running" for state in seen.containers.values()):
        return State.STOPPED
    return State.FOREIGN if seen.api else State.BROKEN


def observe(kind: KindCluster) -> Seen:
    """Look at the containers, the API and the notes of this machine."""
    argv = ["docker", "ps", "--all", "--filter", f"label=io.x-k8s.kind.cluster={kind.name}"]
    listed = process.query([*argv, "--format", "{{.Names}} {{.State}}"]).stdout
    containers = dict(row.split() for row in listed.splitlines())
    begun = _note(kind).exists()
    if not containers or any(state != "running" for state in containers.values()):
        return Seen(containers, begun=begun)
    patience = "--request-timeout=10s"
    asked = ("get", f"configmap/{MARKER}", "--ignore-not-found", "--output=json", patience)
    marker = _kubectl(kind, "--namespace=kube-system", *asked)
    if not marker.ok:
        return Seen(containers, begun=begun)
    if marker.stdout.strip():
        data = json.loads(marker.stdout).get("data", {})
        return Seen(containers, api=True, marker=data, begun=begun)
    found = _kubectl(kind, "get", "namespaces", "--output=name", patience)
    if not found.ok:
        return Seen(containers, begun=begun)
    namespaces = frozenset(row.partition("/")[2] for row in found.stdout.splitlines())
    return Seen(containers, api=True, namespaces=namespaces, begun=begun)


def up(
    kind: KindCluster,
    *,
    nodes: int = 1,
    source: str = "",
    mirror: str = "",
    confirm: Callable[[str], bool] | None = None,
) -> None:
    """Bring the cluster up; whatever is there already stays as it is.

    Args:
        kind: Which cluster.
        nodes: Nodes of a cluster to be made, the control plane among them.
        source: Where the images of a cluster to be made come from; empty to find out.
        mirror: The registry, where that is `mirror`.
        confirm: Asked before anything is installed on this machine; None where nobody can be asked.

    Raises:
        KitError: This machine is not fit, the cluster there is not ours, or it did not get ready.
    """
    began = time.monotonic()
    chosen, why = sources.choose(source, mirror)
    registry = mirrors.parse(mirror) if chosen is Source.MIRROR else None
    engine.ensure(confirm)
    with _alone(kind):
        seen = observe(kind) if engine.answers() else Seen({})
        state = judge(seen)
        if state is State.COMPLETE and _has_metrics(kind):
            _say_complete(kind, seen, nodes)
            return
        # Docker starts the nodes by itself when it starts: then the API may not answer yet, or an
        # early connection went astray.
        if state in (State.STOPPED, State.BROKEN, State.COMPLETE):
            _start(kind, seen)
            return
        if state is State.HALF_MADE:
            console.say(
                f"the cluster {kind.name} never became ready, so it holds nothing: making it anew"
            )
            _delete(kind)
        elif state is not State.ABSENT:
            raise KitError(*_explain(kind, state))
        console.say(f"images: {chosen} ({why})")
        _make(kind, chosen, nodes, registry, confirm)
    if not process.dry_run():
        console.say(f"the cluster {kind.name} is ready after {time.monotonic() - began:.0f} s")
        console.say(f"use it with: kubectl --context {kind.context}")


def _make(
    kind: KindCluster,
    source: Source,
    nodes: int,
    registry: Mirror | None,
    confirm: Callable[[str], bool] | None,
) -> None:
    _preflight(kind, build=source is Source.PACKAGES and not _node_cached())
    made_of = _create(kind, source, nodes, registry, confirm)
    _wait_until_running(kind)
    _kubectl_run(kind, "apply", "--kustomize", str(MANIFESTS / "cluster/metrics-api"))
    _wait_for_metrics(kind)
    _kubectl_run(
        kind,
        "--namespace=kube-system",
        "create",
        "configmap",
        MARKER,
        *(f"--from-literal={key}={value}" for key, value in made_of.items()),
        f"--from-literal=nodes={nodes}",
    )
    if not process.dry_run():
        _note(kind).unlink(missing_ok=True)


def down(kind: KindCluster) -> None:
    """Remove the cluster with all it holds, and kind's network when nobody else uses it."""
    with _alone(kind):
        _delete(kind)
        if not process.dry_run():
            _note(kind).unlink(missing_ok=True)
    others = process.query(["docker", "ps", "--all", "--quiet", "--filter", "network=kind"])
    network = process.query(["docker", "network", "inspect", "kind"], check=False)
    if network.ok and not others.stdout.strip():
        process.run(["docker", "network", "rm", "kind"])


def status(kind: KindCluster) -> tuple[State, str]:
    """Return what is there of the cluster, and the same for a person."""
    state, text, _ = look(kind)
    return state, text


def look(kind: KindCluster) -> tuple[State, str, Mapping[str, str] | None]:
    """Return what is there of the cluster, the same for a person, and its marker if it has one."""
    if not engine.answers():
        return State.ABSENT, "no Docker engine answers", None
    seen = observe(kind)
    state = judge(seen)
    if state is State.COMPLETE and seen.marker:
        text = f"{len(seen.containers)} node(s), images from {_images(seen.marker)}"
        return state, f"{text}, context {kind.context}", seen.marker
    return state, ". ".join(_explain(kind, state)), seen.marker


def make_config(text: str, *, nodes: int, mirrored: bool = False) -> str:
    """Return kind's configuration for this number of nodes: the first one and workers.

    Args:
        text: The configuration for one node.
        nodes: How many nodes there are to be.
        mirrored: Whether containerd is to read how it reaches each registry.

    Raises:
        KitError: The number makes no cluster.
    """
    if nodes < 1:
        raise KitError(f"a cluster of {nodes} nodes cannot be made", "Use NODES=1 or more")
    config: dict[str, Any] = copy.deepcopy(yaml.safe_load(text))
    config["nodes"] += [{"role": "worker"} for _ in range(nodes - 1)]
    if mirrored:
        config["containerdConfigPatches"] = [mirrors.CONTAINERD_PATCH]
    return yaml.safe_dump(config, sort_keys=False)


def published_ports(text: str) -> list[int]:
    """Return the ports of this machine that a configuration of kind publishes."""
    nodes = yaml.safe_load(text)["nodes"]
    return [m["hostPort"] for node in nodes for m in node.get("extraPortMappings", [])]


def nodes_not_ready(nodes_json: str, since: str = "") -> list[str]:
    """Return the nodes that are not Ready, or were last heard of before a time.

    Args:
        nodes_json: What `kubectl get nodes --output=json` says.
        since: The time, as Kubernetes writes it; what it says of a node that was stopped is old.
    """
    waiting = []
    for node in json.loads(nodes_json)["items"]:
        found = {c["type"]: c for c in node["status"]["conditions"]}.get("Ready", {})
        if found.get("status") != "True" or found.get("lastHeartbeatTime", "") < since:
            waiting.append(node["metadata"]["name"])
    return waiting


def pods_not_running(pods_json: str, since: str = "") -> list[str]:
    """Return `namespace/name: why` for each pod that neither runs ready nor has completed.

    Args:
        pods_json: What `kubectl get pods --output=json` says.
        since: A time, as Kubernetes writes it, after which a container must have been started.
    """
    waiting = []
    for pod in json.loads(pods_json)["items"]:
        status = pod["status"]
        phase = status.get("phase", "Unknown")
        ready = {c["type"]: c["status"] for c in status.get("conditions", [])}.get("Ready")
        started = [
            detail.get("state", {}).get("running", {}).get("startedAt", "")
            for detail in status.get("containerStatuses", [])
        ]
        if phase == "Succeeded":
            continue
        if phase == "Running" and ready == "True":
            if all(time >= since for time in started):
                continue
            waiting.append(
                f"{pod['metadata']['namespace']}/{pod['metadata']['name']}: not seen yet"
            )
            continue
        reasons = [
            detail["reason"]
            for container in status.get("containerStatuses", [])
            for detail in container.get("state", {}).values()
            if "reason" in detail
        ]
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        waiting.append(f"{name}: {', '.join(reasons) or phase}")
    return waiting


def _note(kind: KindCluster) -> Path:
    return cache.root() / f"cluster-{kind.name}.begun"


@contextmanager
def _alone(kind: KindCluster) -> Iterator[None]:
    """Let one command at a time make or remove the cluster, with the programs that it starts.

    A command that is killed leaves them at work: a kind that still makes nodes, or removes those of
    an attempt that failed, by their names alone. The next command waits until they have ended.
    """
    if process.dry_run():
        yield
        return
    with cache.lock(f"cluster-{kind.name}.lock", f"the cluster {kind.name}"):
        yield


def _explain(kind: KindCluster, state: State) -> tuple[str, str]:
    """Return what is the matter with a cluster that is not complete, and what to do."""
    return {
        State.ABSENT: (f"there is no cluster {kind.name}", "make cluster-up makes it"),
        State.STOPPED: (f"the cluster {kind.name} is stopped", "make cluster-up starts it"),
        State.HALF_MADE: (
            f"the cluster {kind.name} was begun and never became ready",
            "make cluster-up makes it anew",
        ),
        State.FOREIGN: (
            f"a cluster named {kind.name} is there which the kit did not finish, and it may hold "
            "something of yours",
            "make cluster-down removes it with all it holds",
        ),
        State.BROKEN: (
            f"the cluster {kind.name} was complete, and its API does not answer",
            f"Look at `docker logs {kind.name}-control-plane`; make cluster-down removes it with "
            "all it holds",
        ),
        State.COMPLETE: (f"the cluster {kind.name} is complete", ""),
    }[state]


def _say_complete(kind: KindCluster, seen: Seen, nodes: int) -> None:
    marker = seen.marker or {}
    have = len(seen.containers)
    console.say(
        f"the cluster {kind.name} is there: {have} node(s), images from {_images(marker)}; "
        "nothing to do"
    )
    if have != nodes:
        console.warn(f"NODES={nodes} was asked for: make cluster-down first to change it")


def content(marker: Mapping[str, str]) -> Source:
    """Return the source whose images the nodes have, be it by way of a mirror.

    Args:
        marker: Data of the cluster's marker.
    """
    return Source(marker.get("filled") or marker["images"])


def _images(marker: Mapping[str, str]) -> str:
    if "mirror" not in marker:
        return str(marker.get("images"))
    return f"the mirror {marker['mirror']}, filled from {marker['filled']}"


def _start(kind: KindCluster, seen: Seen) -> None:
    began = time.monotonic()
    stopped = [name for name, state in seen.containers.items() if state != "running"]
    if stopped:
        console.say(f"the cluster {kind.name} is stopped: starting it")
        process.run(["docker", "start", *sorted(stopped)])
        if process.dry_run():
            return
    else:
        console.say(
            f"the cluster {kind.name} was started, and does not answer to all questions yet"
        )
    argv = ["docker", "inspect", "--format={{.State.StartedAt}}", *seen.containers]
    started = max(process.query(argv).stdout.split())
    _wait_until_running(kind, f"{started[:19]}Z")
    _forget_astray(kind, seen.containers)
    _wait_for_metrics(kind)
    state = judge(observe(kind))
    if state is not State.COMPLETE:
        raise KitError(*_explain(kind, state))
    console.say(f"the cluster {kind.name} is ready after {time.monotonic() - began:.0f} s")


def _forget_astray(kind: KindCluster, nodes: Iterable[str]) -> None:
    """Break the connections that the API server holds to metrics-server.

    Until kube-proxy has written its rules, a Service's address leads out of the node. If a proxy of
    the network answered there, the API server would keep that connection for good.
    """
    argv = ("get", "service/metrics-server", "--output=jsonpath={.spec.clusterIP}")
    address = _kubectl(kind, "--namespace=kube-system", *argv).stdout
    for node in nodes if address else ():
        # It ends with an error where there is none.
        delete = ["conntrack", "--delete", "--orig-dst", address]
        process.run(["docker", "exec", node, *delete], check=False)


def _preflight(kind: KindCluster, *, build: bool) -> None:
    checks = preflight.all_checks(published_ports(kind.config.read_text()), build=build)
    for finding in checks:
        console.say(str(finding))
    preflight.raise_inotify(checks)
    failed = [finding.subject for finding in checks if finding.verdict is Verdict.FAULT]
    if failed and not process.dry_run():
        raise KitError(
            f"this machine is not ready for a cluster: {join_names(failed)}", "See the lines above"
        )


def _create(
    kind: KindCluster,
    source: Source,
    nodes: int,
    registry: Mirror | None,
    confirm: Callable[[str], bool] | None,
) -> dict[str, str]:
    """Make the cluster, and return what its marker is to say about its images."""
    made_of = {"images": str(source)}
    if registry:
        filled, image = mirrors.pull_node(registry)
        made_of |= {"mirror": f"{registry.host}{registry.prefix}", "filled": str(filled)}
    else:
        image = node_image(source, confirm)
    made_of["node"] = image
    config = kind.config
    if nodes != 1 or registry:
        config = cache.root() / f"kind-config-{kind.name}.yaml"
        cache.root().mkdir(parents=True, exist_ok=True)
        text = make_config(kind.config.read_text(), nodes=nodes, mirrored=registry is not None)
        config.write_text(text, encoding="utf-8")
    argv = [tools.kind(), "create", "cluster", "--config", str(config), "--image", image]
    if not process.dry_run():
        _note(kind).write_text(f"{time.time():.0f}\n")
    process.stream(argv, on_line=console.say, do="make cluster-up tries again")
    if registry:
        mirrors.trust(registry, observe(kind).containers or [f"{kind.name}-control-plane"])
    _kubectl_run(kind, "apply", "--kustomize", str(MANIFESTS / "cluster/metrics-server"))
    return made_of


def _node_cached() -> bool:
    _, digests = builder.plan([NODE])
    return cache.find(NODE, digests[NODE]) is not None


def node_image(source: Source, confirm: Callable[[str], bool] | None = None) -> str:
    """Return the node image for a source, built and loaded when it comes from packages."""
    if source is Source.UPSTREAM:
        return version("NODE_IMAGE")
    if process.dry_run():
        recipes, _ = builder.plan([NODE])
        return recipes[NODE].references[0]
    entry = builder.ensure([NODE], load=[NODE], confirm=confirm)[NODE].entry
    return entry.references[0]


def _wait_until_running(kind: KindCluster, since: str = "") -> None:
    """Wait for nodes and system pods; what is older than `since` was seen before a stop."""
    if process.dry_run():
        return
    wait_for(
        "all nodes Ready",
        lambda: _nodes_not_ready(kind, since),
        timeout=180,
        do=f"kubectl --context {kind.context} get nodes",
    )
    wait_for(
        "all system pods Running",
        lambda: _system_pods_not_running(kind, since),
        timeout=300,
        do=f"kubectl --context {kind.context} get pods --all-namespaces",
    )


def _wait_for_metrics(kind: KindCluster) -> None:
    if process.dry_run():
        return
    wait_for(
        "metrics (kubectl top)",
        lambda: None if _has_metrics(kind) else "no figures yet",
        timeout=180,
        do=f"kubectl --context {kind.context} --namespace kube-system logs "
        "deployment/metrics-server",
    )


def _has_metrics(kind: KindCluster) -> bool:
    return _kubectl(kind, "top", "nodes").ok


def _nodes_not_ready(kind: KindCluster, since: str) -> str | None:
    listed = _kubectl(kind, "get", "nodes", "--output=json")
    if not listed.ok:
        return listed.stderr.strip().splitlines()[-1] if listed.stderr.strip() else "no answer"
    waiting = nodes_not_ready(listed.stdout, since)
    return f"not yet: {join_names(waiting)}" if waiting else None


def _system_pods_not_running(kind: KindCluster, since: str) -> str | None:
    waiting: list[str] = []
    for namespace in ("kube-system", "local-path-storage"):
        listed = _kubectl(kind, "--namespace", namespace, "get", "pods", "--output=json")
        if not listed.ok:
            return "no answer"
        waiting += pods_not_running(listed.stdout, since)
    return "; ".join(waiting) if waiting else None


def _delete(kind: KindCluster) -> None:
    process.run([tools.kind(), "delete", "cluster", "--name", kind.name])


def _kubectl(kind: KindCluster, *arguments: str) -> process.Result:
    return process.query([tools.kubectl(), "--context", kind.context, *arguments], check=False)


def _kubectl_run(kind: KindCluster, *arguments: str) -> None:
    process.run([tools.kubectl(), "--context", kind.context, *arguments])
