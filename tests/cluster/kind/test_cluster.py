"""The real cluster: ready, with DNS, storage, Services, metrics and enforced policies."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest

from kfpkit.cluster import lifecycle, tools
from kfpkit.cluster.lifecycle import State
from kfpkit.core import process
from kfpkit.core.waiting import wait_for
from kfpkit.images.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.cluster.config import KindCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

UPSTREAM_IMAGE = "docker.io/library/debian:bookworm-slim"

#: Answers each connection to port 8080 with one line.
SERVER = """exec perl -MIO::Socket::INET -e '
  my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die;
  while (my $client = $server->accept) { print $client "served\\n"; close $client; }'"""

SYSTEM = ("kube-system", "local-path-storage")


class Kubectl:
    """kubectl on the cluster, in one namespace."""

    def __init__(self, context: str, namespace: str = "default") -> None:
        self.base = [tools.kubectl(), "--context", context, "--namespace", namespace]

    def __call__(self, *arguments: str, check: bool = True, stdin: str = "") -> process.Result:
        return process.query([*self.base, *arguments], check=check, stdin=stdin or None)

    def get(self, *arguments: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self("get", *arguments, "--output=json").stdout)
        return found


@pytest.fixture(scope="session")
def image(cluster: str, kind: KindCluster) -> str:
    """An image with bash, getent and Perl: on the node already where images are from packages."""
    marker = lifecycle.observe(kind).marker or {}
    if marker["images"] != Source.PACKAGES:
        return UPSTREAM_IMAGE
    provisioner = Kubectl(cluster, "local-path-storage").get("deployment/local-path-provisioner")
    return str(provisioner["spec"]["template"]["spec"]["containers"][0]["image"])  # type: ignore[index]


@pytest.fixture(scope="session")
def nodes(cluster: str) -> list[str]:
    """The nodes' names."""
    found = Kubectl(cluster)("get", "nodes", "--output=jsonpath={.items[*].metadata.name}")
    return sorted(found.stdout.split())


@pytest.fixture
def kubectl(cluster: str) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    Kubectl(cluster)("create", "namespace", name)
    yield Kubectl(cluster, name)
    Kubectl(cluster)("delete", "namespace", name, "--wait=false")


def start(
    kubectl: Kubectl, name: str, image: str, script: str, *, claim: str = "", node: str = ""
) -> None:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    mounts = [{"name": "data", "mountPath": "/data"}] if claim else []
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/bash", "-c", script],
        "volumeMounts": mounts,
    }
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": volumes,
        **({"nodeName": node} if node else {}),
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec,
    }
    kubectl("apply", "--filename=-", stdin=json.dumps(pod))


def wait_for_phase(kubectl: Kubectl, name: str, wanted: str) -> None:
    def probe() -> str | None:
        status = kubectl.get(f"pod/{name}")["status"]
        phase = status["phase"]  # type: ignore[index]
        return None if phase == wanted else json.dumps(status)[:2000]

    wait_for(f"pod {name} {wanted}", probe, timeout=90)


def logs_of_finished(kubectl: Kubectl, name: str) -> str:
    wait_for_phase(kubectl, name, "Succeeded")
    return kubectl("logs", name).stdout


def test_every_node_is_ready_and_every_system_pod_runs(cluster: str) -> None:
    nodes = Kubectl(cluster).get("nodes")["items"]
    assert nodes
    for node in nodes:  # type: ignore[attr-defined]
        conditions = {c["type"]: c["status"] for c in node["status"]["conditions"]}
        assert conditions["Ready"] == "True"

    def waiting() -> str | None:
        missing = []
        for namespace in SYSTEM:
            pods = Kubectl(cluster, namespace)("get", "pods", "--output=json").stdout
            assert json.loads(pods)["items"]
            missing += lifecycle.pods_not_running(pods)
        return "; ".join(missing) or None

    # On a busy machine a pod's probe may miss once.
    wait_for("every system pod to be ready", waiting, timeout=120)


def test_a_second_up_changes_nothing(
    cluster: str, kind: KindCluster, nodes: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    def trace() -> list[str]:
        uids = [
            Kubectl(cluster, namespace)(
                "get", "nodes,pods", "--output=jsonpath={.items[*].metadata.uid}"
            ).stdout
            for namespace in SYSTEM
        ]
        container = process.query(
            ["docker", "ps", "--quiet", f"--filter=label=io.x-k8s.kind.cluster={kind.name}"]
        )
        return [*uids, container.stdout]

    before = trace()
    capfd.readouterr()
    lifecycle.up(kind, nodes=len(nodes))
    said = capfd.readouterr().err
    assert "nothing to do" in said
    assert "$ " not in said, "a command that changes something was run"
    assert trace() == before
    assert lifecycle.status(kind)[0] is State.COMPLETE


def test_kubectl_top_has_figures_of_nodes_and_pods(cluster: str) -> None:
    for what in ("nodes", "pods"):
        rows = Kubectl(cluster, "kube-system")("top", what, "--no-headers").stdout.splitlines()
        assert rows
        assert all("Mi" in row for row in rows)


def test_dns_resolves_a_service(kubectl: Kubectl, image: str) -> None:
    start(kubectl, "ask", image, "cat /etc/resolv.conf; getent hosts kubernetes.default.svc")
    assert "kubernetes.default.svc.cluster.local" in logs_of_finished(kubectl, "ask")


def test_a_claim_is_bound_and_keeps_data_from_pod_to_pod(kubectl: Kubectl, image: str) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Mi"}},
        },
    }
    kubectl("apply", "--filename=-", stdin=json.dumps(claim))
    start(kubectl, "write", image, "echo kept > /data/file", claim="data")
    wait_for_phase(kubectl, "write", "Succeeded")
    start(kubectl, "read", image, "cat /data/file", claim="data")
    assert logs_of_finished(kubectl, "read") == "kept\n"
    volume = kubectl.get("persistentvolumeclaim/data")
    assert volume["status"]["phase"] == "Bound"  # type: ignore[index]
    assert volume["spec"]["storageClassName"] == "standard"  # type: ignore[index]


def serve(kubectl: Kubectl, image: str, node: str) -> None:
    """Start a server on a node, behind a Service of the same name."""
    start(kubectl, "server", image, SERVER, node=node)
    wait_for_phase(kubectl, "server", "Running")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    kubectl("apply", "--filename=-", stdin=json.dumps(service))


def ask(kubectl: Kubectl, name: str, image: str, node: str, *, tries: int = 20) -> str:
    """Return what a pod on a node gets from the Service in some tries: `served` or nothing."""
    script = f"""for _ in $(seq {tries}); do
      timeout 1 bash -c 'exec 3<>/dev/tcp/server/80 && cat <&3' 2>/dev/null && exit; sleep 0.5
    done; exit 0"""
    start(kubectl, name, image, script, node=node)
    return logs_of_finished(kubectl, name)


def test_a_pod_reaches_a_service_whose_pod_is_on_another_node(
    kubectl: Kubectl, image: str, nodes: list[str]
) -> None:
    """On a cluster of one node both are on that one."""
    serve(kubectl, image, nodes[0])
    assert ask(kubectl, "client", image, nodes[-1]) == "served\n"


def test_a_network_policy_is_enforced(kubectl: Kubectl, image: str, nodes: list[str]) -> None:
    """Only the pod that the policy names gets through; without it, both would."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "server"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "server"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}],
        },
    }
    serve(kubectl, image, nodes[0])
    assert ask(kubectl, "before", image, nodes[-1]) == "served\n"
    kubectl("apply", "--filename=-", stdin=json.dumps(policy))
    assert ask(kubectl, "friend", image, nodes[-1]) == "served\n"
    assert ask(kubectl, "stranger", image, nodes[-1], tries=5) == ""
