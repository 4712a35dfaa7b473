"""Every overlay before a real API server, which admits each object and keeps none."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.cluster import tools
from kfpkit.core import process
from kfpkit.kube import render
from tests.support.renders import FOREIGN, SUBJECTS, rendered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kfpkit.kube.render import Document

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NAMESPACE = "kfp-dry-run-test"


@pytest.fixture(scope="module")
def kubectl(cluster: str) -> Callable[..., str]:
    """Runs kubectl on the cluster."""
    program = [tools.kubectl(), "--context", cluster]

    def kubectl(*arguments: str, stdin: str | None = None) -> str:
        return process.query([*program, *arguments], stdin=stdin).stdout

    return kubectl


def definition(document: Document) -> dict[str, Any]:
    """Return a definition of somebody else's kind that takes any content: the schema is theirs."""
    group, _, version = document["apiVersion"].partition("/")
    kind = document["kind"]
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


@pytest.fixture(scope="module")
def namespace(kubectl: Callable[..., str]) -> Iterator[str]:
    """An empty namespace of the level the default release asks for, and the foreign kinds."""
    documents = [d for name in SUBJECTS for d in rendered(name)]
    foreign = {
        (d["apiVersion"], d["kind"]): definition(d)
        for d in documents
        if d["apiVersion"].partition("/")[0] in FOREIGN
    }
    there = kubectl("get", "customresourcedefinitions", "--output=name")
    new = [d for d in foreign.values() if f"/{d['metadata']['name']}\n" not in there]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": new})
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    try:
        kubectl("apply", "--filename", "-", stdin=listed)
        if new:
            names = [f"customresourcedefinition/{d['metadata']['name']}" for d in new]
            kubectl("wait", *names, "--for=condition=Established", "--timeout=60s")
        kubectl("create", "namespace", NAMESPACE)
        label = "pod-security.kubernetes.io/enforce=restricted"
        kubectl("label", "namespace", NAMESPACE, label)
        yield NAMESPACE
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")
        kubectl("delete", "--ignore-not-found", "--filename", "-", stdin=listed)


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_api_server_takes_every_object(
    name: str, namespace: str, kubectl: Callable[..., str]
) -> None:
    # The Namespace itself is there, and the kinds of the base are on the cluster.
    apart = ("Namespace", "CustomResourceDefinition")
    items = [d for d in rendered(name) if d["kind"] not in apart]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    own = render.namespace(rendered(name))
    text = text.replace(f'"namespace": "{own}"', f'"namespace": "{namespace}"')
    # A port of the nodes may be taken already, by the installation on this cluster.
    text = re.sub(r'"nodePort": \d+, ', "", text)
    argv = ("apply", "--server-side", "--dry-run=server", "--filename", "-")
    said = kubectl(*argv, stdin=text).splitlines()

    assert len(said) == len(items)
    assert all(line.endswith("serverside-applied (server dry run)") for line in said)
    # Pods are made by controllers, so their level is asked for pod by pod.
    pods = []
    for workload in render.with_pods(rendered(name)):
        template = render.pod_template(workload)
        # The account is not there, for nothing is.
        spec = {k: v for k, v in template["spec"].items() if k != "serviceAccountName"}
        claims = workload["spec"].get("volumeClaimTemplates", [])
        volumes = [{"name": claim["metadata"]["name"], "emptyDir": {}} for claim in claims]
        spec["volumes"] = [*spec.get("volumes", []), *volumes]
        metadata = {**template["metadata"], "namespace": namespace}
        metadata["name"] = workload["metadata"]["name"]
        pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})
    made = kubectl("create", "--dry-run=server", "--filename", "-", stdin=listed).splitlines()
    assert len(made) == len(pods)
