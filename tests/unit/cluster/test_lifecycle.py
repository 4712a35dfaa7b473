"""The cluster's life as far as it needs no cluster: what is there, what it means, what is asked."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from kfpkit.cluster import lifecycle
from kfpkit.cluster.config import CONFIG, CONTEXT, NAME
from kfpkit.cluster.lifecycle import Seen, State, judge
from kfpkit.core import process
from kfpkit.core.errors import KitError
from kfpkit.core.versions import version
from kfpkit.images.source import Source

if TYPE_CHECKING:
    from pathlib import Path

RUNNING = {"kfp-control-plane": "running"}
EXITED = {"kfp-control-plane": "exited"}
FRESH = frozenset(lifecycle.OWN_NAMESPACES)


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (Seen({}), State.ABSENT),
        (Seen({}, begun=True), State.ABSENT),
        (Seen(RUNNING, api=True, marker={"images": "packages"}), State.COMPLETE),
        # Killed between the marker and the note's removal.
        (Seen(RUNNING, api=True, marker={}, begun=True), State.COMPLETE),
        (Seen(RUNNING, begun=True), State.HALF_MADE),
        (Seen(RUNNING, api=True, namespaces=FRESH, begun=True), State.HALF_MADE),
        ({**RUNNING, "kfp-worker": "created"}, State.HALF_MADE),
        (Seen(EXITED), State.STOPPED),
        (Seen(RUNNING), State.BROKEN),
    ],
)
def test_what_is_seen_is_judged(seen: Seen | dict[str, str], state: State) -> None:
    observed = seen if isinstance(seen, Seen) else Seen(seen, begun=True)
    assert judge(observed) is state


@pytest.mark.parametrize("begun", [True, False])
def test_what_may_hold_somebodys_work_is_never_taken_for_half_made(begun: bool) -> None:
    used = Seen(RUNNING, api=True, namespaces=FRESH | {"kubeflow"}, begun=begun)
    assert judge(used) is State.FOREIGN


def test_a_cluster_the_kit_did_not_begin_is_never_taken_for_half_made() -> None:
    assert judge(Seen(RUNNING, api=True, namespaces=FRESH)) is State.FOREIGN


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_explained(state: State) -> None:
    what, do = lifecycle._explain(state)
    assert NAME in what
    assert bool(do) == (state is not State.COMPLETE)


def test_more_nodes_are_workers_and_everything_else_stays() -> None:
    text = CONFIG.read_text()
    one, three = (yaml.safe_load(lifecycle.make_config(text, nodes=n)) for n in (1, 3))
    assert one == yaml.safe_load(text)
    assert [node["role"] for node in three["nodes"]] == ["control-plane", "worker", "worker"]
    assert {**three, "nodes": three["nodes"][:1]} == one
    with pytest.raises(KitError, match="0 nodes"):
        lifecycle.make_config(text, nodes=0)


def test_the_cluster_is_published_on_this_machine_only() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    assert (config["name"], NAME, CONTEXT) == ("kfp", "kfp", "kind-kfp")
    assert config["networking"]["apiServerAddress"] == "127.0.0.1"
    mappings = [m for node in config["nodes"] for m in node.get("extraPortMappings", [])]
    assert {m["listenAddress"] for m in mappings} == {"127.0.0.1"}
    assert lifecycle.published_ports(CONFIG.read_text()) == [8080, 8888]


def context(config: Path) -> process.Result:
    """Return the context and the API's address that a process takes with this configuration."""
    code = "from kfpkit import cluster; print(cluster.CONTEXT, cluster.API)"
    argv = [sys.executable, "-c", code]
    return process.query(argv, env={"KIND_CONFIG": str(config)}, check=False)


def test_another_configuration_is_another_cluster(tmp_path: Path) -> None:
    text = CONFIG.read_text().replace("name: kfp", "name: own").replace("8888", "9999")
    (tmp_path / "own.yaml").write_text(text)
    (tmp_path / "nameless.yaml").write_text("kind: Cluster\n")

    assert context(tmp_path / "own.yaml").stdout == "kind-own http://localhost:9999\n"
    for name in ("nameless.yaml", "missing.yaml"):
        said = context(tmp_path / name)
        assert said.returncode != 0
        assert f"KIND_CONFIG={tmp_path / name} is no configuration" in said.stderr


def test_the_marker_says_what_the_nodes_have() -> None:
    assert lifecycle.content({"images": "packages"}) is Source.PACKAGES
    mirrored = {"images": "mirror", "mirror": "r:1/p", "filled": "upstream"}
    assert lifecycle.content(mirrored) is Source.UPSTREAM


def test_the_upstream_node_image_is_pinned_by_digest() -> None:
    image = lifecycle.node_image(Source.UPSTREAM)
    assert re.fullmatch(r"docker\.io/kindest/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}", image)
    minor = ".".join(version("KUBERNETES_VERSION").split(".")[:2])
    assert f":{minor}." in image, "both sources of images have one minor version of Kubernetes"


def pod(name: str, phase: str, *, ready: bool = False, reason: str = "") -> dict[str, object]:
    waiting = [{"state": {"waiting": {"reason": reason}}}] if reason else []
    conditions = [{"type": "Ready", "status": str(ready)}]
    status = {"phase": phase, "conditions": conditions, "containerStatuses": waiting}
    return {"metadata": {"namespace": "kube-system", "name": name}, "status": status}


def test_pods_that_keep_the_cluster_from_being_ready_are_named_with_the_reason() -> None:
    pods = [
        pod("fine", "Running", ready=True),
        pod("done", "Succeeded"),
        pod("unready", "Running"),
        pod("stuck", "Pending", reason="ErrImageNeverPull"),
    ]
    assert lifecycle.pods_not_running(json.dumps({"items": pods})) == [
        "kube-system/unready: Running",
        "kube-system/stuck: ErrImageNeverPull",
    ]


def test_what_was_seen_before_a_stop_does_not_count() -> None:
    """After a start the API tells of nodes and pods as they were until somebody looks again."""
    before, after = "2026-01-01T11:59:59Z", "2026-01-01T12:00:01Z"
    since = "2026-01-01T12:00:00Z"

    def node(heard: str) -> dict[str, object]:
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": heard}
        return {"metadata": {"name": heard}, "status": {"conditions": [ready]}}

    def running(started: str) -> dict[str, object]:
        found = pod("pod", "Running", ready=True)
        containers = [{"state": {"running": {"startedAt": started}}}]
        return {**found, "status": {**found["status"], "containerStatuses": containers}}  # type: ignore[dict-item]

    nodes = json.dumps({"items": [node(before), node(after)]})
    assert lifecycle.nodes_not_ready(nodes, since) == [before]
    assert lifecycle.nodes_not_ready(nodes) == []
    pods = json.dumps({"items": [running(before), running(after)]})
    assert lifecycle.pods_not_running(pods, since) == ["kube-system/pod: not seen yet"]
    assert lifecycle.pods_not_running(pods) == []
