"""The flows of docs/design/flows.md: enforced, and enough for a run."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from kfpkit.cluster import loading, tools
from kfpkit.cluster.config import load as kind_cluster
from kfpkit.core import process
from kfpkit.core.waiting import wait_for
from kfpkit.images import recipe
from kfpkit.kube import render
from tests.support import flows, steps
from tests.support.policies import options_of
from tests.support.renders import SUBJECTS
from tests.support.runs import HOST, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kfpkit.kfp.target import Target
    from kfpkit.kube.render import Document

#: Any port of the page, a port of a part that the page does not name, and one that no part has.
PORTS = [80, 443, 3000, 3306, 6060, 8080, 8887, 8888, 9000, 9090, 9999]


#: A namespace of the test's own, and a second one beside it.
INSIDE, OUTSIDE = "kfp-policies-test", "kfp-policies-test-outside"


#: Seconds for a connection: the network drops what it does not allow, so no answer is a refusal.
SILENCE = 5


#: Seconds until the network knows a new pod and what it may do.
SETTLED = 120.0


#: Pods that try their connections at a time: nearly all the time of each is SILENCE.
AT_ONCE = 8


#: Listens on ports until it is ended, and says so.
LISTEN = """
import socket, sys, time
held = [socket.create_server(("", int(port))) for port in sys.argv[1:]]
print("listening", flush=True)
time.sleep(3600)
"""


#: Connects to each HOST:PORT of the arguments and prints those that it reached.
CONNECT = """
import concurrent.futures, socket, sys
def reached(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=%d).close()
    except OSError:
        return []
    return [address]
with concurrent.futures.ThreadPoolExecutor(256) as pool:
    print(*sum(pool.map(reached, sys.argv[1:]), []))
""" % (SILENCE)  # noqa: UP031 - braces are code here


class Network:
    """Pods with the labels of the parts, under the policies of an overlay, listening on PORTS."""

    def __init__(self, context: str, documents: list[Document]) -> None:
        self.documents = documents
        self.addresses: dict[str, str] = {}
        self._kubectl = [tools.kubectl(), "--context", context]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return process.query([*self._kubectl, *arguments], stdin=stdin).stdout

    def begin(self) -> None:
        pods = [
            self._pod(INSIDE, labels["app.kubernetes.io/name"], labels)
            for labels in flows.labels_of_pods(self.documents)
        ]
        pods += [
            self._pod(INSIDE, flows.RUNS, {flows.RUN: "any"}),
            self._pod(INSIDE, "stranger", {}),
            self._pod(OUTSIDE, "outsider", {}),
        ]
        policies = [d for d in self.documents if d["kind"] == "NetworkPolicy"]
        for policy in policies:
            policy["metadata"]["namespace"] = INSIDE
        for namespace in (INSIDE, OUTSIDE):
            self.kubectl("create", "namespace", namespace)
        listed = {"apiVersion": "v1", "kind": "List", "items": [*policies, *pods]}
        self.kubectl("create", "--filename", "-", stdin=json.dumps(listed))
        wait_for(f"{len(pods)} pods to listen", lambda: self._silent(len(pods)), timeout=180)

    def end(self) -> None:
        self.kubectl("delete", "namespace", "--ignore-not-found", INSIDE, OUTSIDE)

    def _silent(self, wanted: int) -> str | None:
        for namespace in (INSIDE, OUTSIDE):
            for pod in json.loads(self.kubectl("get", "pods", "-n", namespace, "-o", "json"))[
                "items"
            ]:
                if pod["status"].get("podIP") and pod["status"]["phase"] == "Running":
                    name, address = pod["metadata"]["name"], pod["status"]["podIP"]
                    if "listening" in self.kubectl("logs", "-n", namespace, name):
                        self.addresses[name] = address
        missing = wanted - len(self.addresses)
        return f"{missing} do not yet" if missing else None

    def reached(self, source: str, addresses: list[str]) -> set[str]:
        """Return those of the addresses that a pod can connect to."""
        namespace = OUTSIDE if source == "outsider" else INSIDE
        command = ["exec", "-n", namespace, source, "--", "python3", "-c", CONNECT, *addresses]
        return set(self.kubectl(*command).split())

    @staticmethod
    def _pod(namespace: str, name: str, labels: dict[str, str]) -> Document:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                    # So that it may listen on 80 and 443.
                    "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
                },
                "containers": [
                    {
                        "name": "listen",
                        "image": recipe.load(recipe.IMAGES / "python-runtime").references[0],
                        "command": ["python3", "-c", LISTEN, *map(str, PORTS)],
                        "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        }


def policies_of(name: str) -> list[Document]:
    """Return a render that the test may change."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    return render.render(SUBJECTS[name])


@pytest.fixture(scope="module", params=["overlays/kind"])
def network(request: pytest.FixtureRequest, cluster: str) -> Iterator[tuple[Network, set[str]]]:
    """The policies of an overlay on the cluster, and the overlay's options."""
    loading.load(kind_cluster(), ["python-runtime"])
    made = Network(cluster, policies_of(request.param))
    made.end()
    try:
        made.begin()
        yield made, options_of(request.param)
    finally:
        made.end()


def settled(
    reach: Callable[[str, list[str]], set[str]], tried: Mapping[str, Mapping[str, bool]]
) -> dict[str, set[str]]:
    """Wait until all that is wanted can be reached.

    Args:
        reach: Returns those of the addresses that a source reaches.
        tried: By source, each address and whether it is wanted.

    Returns:
        By source, all that could be reached when all that is wanted could.
    """
    found: dict[str, set[str]] = {}

    def shut(source: str) -> list[str]:
        wanted = {address for address, wanted in tried[source].items() if wanted}
        return sorted(wanted - found[source])

    def missing() -> str | None:
        left = [source for source in tried if source not in found or shut(source)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            reached = pool.map(lambda source: reach(source, list(tried[source])), left)
            found.update(zip(left, reached, strict=True))
        closed = [f"{source} to {', '.join(shut(source))}" for source in left if shut(source)]
        return "; ".join(closed) or None

    wait_for("the flows that are allowed", missing, timeout=SETTLED)
    return found


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_every_pair_of_pods_and_every_port_is_as_the_page_says(
    network: tuple[Network, set[str]],
) -> None:
    made, options = network
    parts = flows.parts(made.documents)
    told = flows.told(parts, options)
    everywhere = {f.source: set[int]() for f in told}
    for flow in told:
        if flow.target == "anywhere":
            everywhere[flow.source].add(flow.port)

    def allowed(source: str, target: str, port: int) -> bool:
        if flows.Flow(source, target, port) in told:
            return True
        out = source == "outsider" or port in everywhere.get(source, ())
        return out and (target == "outsider" or flows.Flow("anywhere", target, port) in told)

    tried = {
        source: {
            f"{address}:{port}": allowed(source, target, port)
            for target, address in made.addresses.items()
            for port in PORTS
            if target != source
        }
        for source in made.addresses
    }
    names = {address: name for name, address in made.addresses.items()}
    for source, found in settled(made.reached, tried).items():
        too_much = sorted(address for address in found if not tried[source][address])
        assert [(source, names[a.split(":")[0]], a) for a in too_much] == []

    # From every pod to every other and all ports, and there are more pods than parts.
    pairs = len(made.addresses) * (len(made.addresses) - 1)
    assert sum(map(len, tried.values())) == pairs * len(PORTS)
    assert len(made.addresses) == len(parts) + 2


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_names_and_the_kubernetes_api_are_reached_by_those_who_may(
    network: tuple[Network, set[str]],
) -> None:
    made, options = network
    get = ("get", "service", "-o", "jsonpath={.spec.clusterIP}")
    dns = made.kubectl(*get, "-n", "kube-system", "kube-dns") + ":53"
    api = made.kubectl(*get, "-n", "default", "kubernetes") + ":443"
    told = flows.told(flows.parts(made.documents), options)
    # The names are also for a pod that nobody knows.
    tried = {
        source: {
            dns: True,
            api: source == "outsider" or flows.Flow(source, "anywhere", 443) in told,
        }
        for source in made.addresses
    }
    for source, found in settled(made.reached, tried).items():
        assert found == {address for address, wanted in tried[source].items() if wanted}, source


#: What a step may reach of the installation it runs in, and what not.
FOR_RUNS = {
    "minio-service:9000": True,
    "metadata-grpc-service:8080": True,
    "ml-pipeline:8887": True,
    "kubernetes.default:443": True,
    "database:3306": False,
    "metadata-envoy-service:9090": False,
}


@pytest.fixture(scope="session")
def connecting(target: Target) -> Run:
    """A run whose step tries all of FOR_RUNS."""
    import kfp

    client = kfp.Client(host=HOST)
    made = client.create_run_from_pipeline_func(
        steps.connecting(),
        arguments={"program": CONNECT, "wanted": json.dumps(FOR_RUNS)},
        enable_caching=False,
    )
    return Run(client, target, HOST, made.run_id)


@pytest.mark.kfp
@pytest.mark.usefixtures("connecting")  # It runs meanwhile.
@pytest.mark.timeout(600)
def test_pods_that_are_no_part_reach_no_store(target: Target) -> None:
    inside, outside = target.namespace, f"{OUTSIDE}-kfp"
    kubectl = [target.kubectl, "--context", target.context]
    pods = [Network._pod(namespace, "policies-stranger", {}) for namespace in (inside, outside)]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})
    api = f"ml-pipeline.{inside}:8888"
    addresses = [address.replace(":", f".{inside}:") for address in FOR_RUNS if "." not in address]

    def reached(namespace: str, addresses: list[str]) -> set[str]:
        argv = [*kubectl, "exec", "-n", namespace, "policies-stranger", "--"]
        return set(process.query([*argv, "python3", "-c", CONNECT, *addresses]).stdout.split())

    process.query([*kubectl, "create", "namespace", outside])
    try:
        process.query([*kubectl, "create", "--filename", "-"], stdin=listed)
        for pod in (inside, outside):
            wait = ["wait", "-n", pod, "pod/policies-stranger", "--for=condition=Ready"]
            process.query([*kubectl, *wait, "--timeout=180s"])
        # Whoever is outside reaches the one port that the option api-nodeport opens for everybody,
        # and so the names are right and the network is there; inside nothing may leave a pod.
        tried = {outside: {**dict.fromkeys(addresses, False), api: True}}
        assert settled(reached, tried) == {outside: {api}}
        assert reached(inside, [*addresses, api]) == set()
    finally:
        process.query([*kubectl, "delete", "--filename", "-", "--now"], stdin=listed, check=False)
        process.query([*kubectl, "delete", "namespace", outside, "--wait=false"])


@pytest.mark.kfp
@pytest.mark.turn(4)
@pytest.mark.timeout(1200)
def test_a_step_reaches_what_it_needs_and_not_the_database(connecting: Run) -> None:
    connecting.finish()
