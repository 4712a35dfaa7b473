"""What must hold for every object that reaches a cluster."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from kfpkit.core.versions import version
from kfpkit.images import mirror, recipe
from kfpkit.kube import render
from tests.support import flows
from tests.support.renders import (
    FOREIGN,
    PINNED,
    PUBLIC,
    SECRETS,
    SUBJECTS,
    named,
    rendered,
    rendered_folder,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kfpkit.kube.render import Document


#: The oldest and the newest Kubernetes that the kit supports, and the one it is tested on.
KUBERNETES = ["1.33", "1.34", "1.35"]

#: Containers without probes, and why: these programs listen on no port.
UNPROBED = {
    "persistence-agent": {"2.14.3", "2.17.0"},
    "scheduled-workflow": {"2.14.3"},
}


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping inside a document."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def container(documents: list[Document], workload: str, name: str) -> Document:
    deployment = named(documents, "Deployment")[workload]
    return next(c for c in render.containers(deployment) if c["name"] == name)


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_is_valid(documents: list[Document], kubernetes: str) -> None:
    for document in documents:
        if document["apiVersion"].partition("/")[0] not in FOREIGN:
            kubernetes_validate.validate(document, kubernetes, strict=True)


def test_every_image_is_pinned(documents: list[Document]) -> None:
    text = yaml.safe_dump_all(documents)

    assert ":unpinned" not in text
    assert [image for image in render.images(documents) if not PINNED.fullmatch(image)] == []


def test_run_pods_have_images_of_the_servers_release(documents: list[Document]) -> None:
    release = container(documents, "ml-pipeline", "ml-pipeline")["image"].rpartition(":")[2]
    argo = container(documents, "workflow-controller", "workflow-controller")["image"]
    images = render.images(documents)

    for name in ("kfp-driver", "kfp-launcher", "kfp-persistence-agent"):
        assert [i.rpartition(":")[2] for i in images if f"/{name}:" in i] == [release]
    assert [i.rpartition(":")[2] for i in images if "/argoexec:" in i] == [argo.rpartition(":")[2]]


def test_the_warm_driver_has_the_driver_that_the_server_names(documents: list[Document]) -> None:
    warm = named(documents, "Deployment").get("warm-driver")
    if warm is None:
        return
    (copied,) = render.pod_spec(warm)["initContainers"]
    variables = {v["name"]: v for v in container(documents, "warm-driver", "warm-driver")["env"]}
    server = {v["name"]: v for v in container(documents, "ml-pipeline", "ml-pipeline")["env"]}

    assert variables["DRIVER_IMAGE"]["value"] == server["V2_DRIVER_IMAGE"]["value"]
    assert copied["image"] == server["V2_DRIVER_IMAGE"]["value"]


def test_a_variable_in_an_argument_is_one_of_the_container(documents: list[Document]) -> None:
    """Kubernetes leaves `$(NAME)` as it is where there is none."""
    for workload in render.with_pods(documents):
        for one in render.containers(workload):
            words = [*one.get("command", []), *one.get("args", [])]
            # A script's own $(command) is no variable: it has more than a name in it.
            used = set(re.findall(r"\$\(([A-Z_]+)\)", " ".join(words)))
            assert used <= {variable["name"] for variable in one.get("env", [])}, one["name"]


def test_the_executors_image_reaches_the_controller(documents: list[Document]) -> None:
    controller = container(documents, "workflow-controller", "workflow-controller")
    (image,) = (v["value"] for v in controller["env"] if v["name"] == "EXECUTOR_IMAGE")

    assert "--executor-image=$(EXECUTOR_IMAGE)" in controller["args"]
    assert image in render.images(documents)


def test_images_from_packages_are_those_of_the_recipes(documents: list[Document]) -> None:
    built = {name for one in recipe.load_all().values() for name in one.references}

    assert {i for i in render.images(documents) if i.startswith("kfpkit/")} - built == set()


def test_containers_have_requests_and_limits(documents: list[Document]) -> None:
    for workload in render.with_pods(documents):
        for one in render.containers(workload):
            for bound in ("requests", "limits"):
                assert one["resources"][bound].keys() == {"cpu", "memory"}, one["name"]


def test_containers_that_stay_have_probes(documents: list[Document]) -> None:
    release = container(documents, "ml-pipeline", "ml-pipeline")["image"].rpartition(":")[2]
    for workload in render.workloads(documents):
        for one in render.pod_spec(workload)["containers"]:
            probes = {"startupProbe", "readinessProbe", "livenessProbe"} & one.keys()
            if release in UNPROBED.get(one["name"], ()):
                assert not probes, f"{one['name']} has probes now: take it off the list"
            else:
                assert len(probes) == 3, one["name"]


def test_probes_and_services_use_ports_by_name(documents: list[Document]) -> None:
    for workload in render.workloads(documents):
        for one in render.pod_spec(workload)["containers"]:
            ports = {port["name"] for port in one.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                how = one.get(probe, {})
                for kind in ("httpGet", "tcpSocket"):
                    if kind in how:
                        assert how[kind]["port"] in ports


def test_pods_are_restricted(documents: list[Document]) -> None:
    for workload in render.with_pods(documents):
        spec = render.pod_spec(workload)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["enableServiceLinks"] is False
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        kinds = {kind for volume in spec.get("volumes", []) for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
        for volume in spec.get("volumes", []):
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""}), volume
        for one in render.containers(workload):
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, one["name"]


def test_tokens_are_mounted_where_rights_are_bound_and_nowhere_else(
    documents: list[Document],
) -> None:
    bound = {
        subject["name"]
        for binding in named(documents, "RoleBinding").values()
        for subject in binding["subjects"]
    }
    for workload in render.with_pods(documents):
        spec = render.pod_spec(workload)
        account = spec.get("serviceAccountName", "default")
        assert spec["automountServiceAccountToken"] == (account in bound), account


def test_nothing_is_outside_the_namespace(documents: list[Document]) -> None:
    namespace = render.namespace(documents)
    for document in documents:
        if document["kind"] in ("Namespace", "CustomResourceDefinition"):
            continue
        assert document["metadata"].get("namespace") == namespace, document["metadata"]
        assert document["kind"] not in ("ClusterRole", "ClusterRoleBinding")


def test_no_secret_is_rendered_and_no_password_given(documents: list[Document]) -> None:
    for name, secret in named(documents, "Secret").items():
        assert name == PUBLIC
        assert "data" not in secret
        assert set(secret["stringData"]) == {"ca.crt"}
        assert re.fullmatch(
            r"(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n)+",
            secret["stringData"]["ca.crt"],
        )
    for workload in render.with_pods(documents):
        for one in render.containers(workload):
            for variable in one.get("env", []):
                if re.search(r"PASSWORD|SECRET|ACCESS_?KEY", variable["name"]):
                    assert "secretKeyRef" in variable["valueFrom"], variable


def test_what_is_referred_to_exists(documents: list[Document]) -> None:
    maps = named(documents, "ConfigMap")
    accounts = named(documents, "ServiceAccount")
    claims = {
        f"{claim['metadata']['name']}-{name}-0"
        for name, store in named(documents, "StatefulSet").items()
        for claim in store["spec"]["volumeClaimTemplates"]
    }
    for workload in render.with_pods(documents):
        spec = render.pod_spec(workload)
        assert spec.get("serviceAccountName", "default") in {*accounts, "default"}
        volumes = {v["name"] for v in spec.get("volumes", [])} | {
            claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])
        }
        for volume in spec.get("volumes", []):
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
        mounted = {
            m["name"] for c in render.containers(workload) for m in c.get("volumeMounts", [])
        }
        assert volumes == mounted
        for part in walk(spec):
            if "configMapKeyRef" in part:
                ref = part["configMapKeyRef"]
                assert ref["key"] in maps[ref["name"]]["data"], ref
            if "secretKeyRef" in part:
                ref = part["secretKeyRef"]
                assert ref["key"] in SECRETS[ref["name"]], ref
        for volume in spec.get("volumes", []):
            if "configMap" in volume:
                data = maps[volume["configMap"]["name"]]["data"]
                for one in render.containers(workload):
                    for mount in one.get("volumeMounts", []):
                        if mount["name"] == volume["name"] and "subPath" in mount:
                            assert mount["subPath"] in data
    for document in documents:
        for part in walk(document):
            if "secretName" in part:
                assert part["secretName"] in SECRETS


def test_configmaps_are_used(documents: list[Document]) -> None:
    by_name = {"kfp-launcher", "metadata-grpc-configmap", "workflow-controller-configmap"}
    text = yaml.safe_dump_all(render.with_pods(documents))
    for name, found in named(documents, "ConfigMap").items():
        if "grafana_dashboard" not in found["metadata"].get("labels", {}):
            assert name in by_name or f"name: {name}\n" in text, name


def test_bindings_and_roles_belong_together(documents: list[Document]) -> None:
    roles, accounts = named(documents, "Role"), named(documents, "ServiceAccount")
    used = set()
    for binding in named(documents, "RoleBinding").values():
        assert binding["roleRef"]["kind"] == "Role"
        used.add(binding["roleRef"]["name"])
        for subject in binding["subjects"]:
            assert subject["kind"] == "ServiceAccount"
            assert subject["name"] in accounts
            assert subject["namespace"] == render.namespace(documents)
    assert used == set(roles)


def test_roles_have_no_wildcard_and_name_the_secrets(documents: list[Document]) -> None:
    for role in named(documents, "Role").values():
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            if "secrets" in rule["resources"]:
                assert set(rule["resourceNames"]) <= {*SECRETS, PUBLIC}
                assert rule["verbs"] == ["get"]


def test_the_controller_may_make_configmaps_and_change_none(documents: list[Document]) -> None:
    """Argo keeps a large pod's template in one (`createWorkflowPod`), and removes none itself."""
    rules = named(documents, "Role")["workflow-controller"]["rules"]
    (found,) = (rule for rule in rules if "configmaps" in rule["resources"])
    assert found["resources"] == ["configmaps"]
    assert set(found["verbs"]) == {"create", "get", "list", "watch"}
    # Its owner is said in a way that a cluster may take for a change of the owner's finalizers.
    (owner,) = (rule for rule in rules if "workflows/finalizers" in rule["resources"])
    assert "update" in owner["verbs"]


def test_texts_have_every_character(documents: list[Document]) -> None:
    """Also those of four bytes, which `utf8`, that KFP would choose, has not."""
    name = next(n for n in named(documents, "ConfigMap") if n.startswith("database-"))
    assert json.loads(named(documents, "ConfigMap")[name]["data"]["params"])["charset"] == "utf8mb4"


def test_services_lead_to_ports_of_pods(documents: list[Document]) -> None:
    for name, service in named(documents, "Service").items():
        chosen = [
            workload
            for workload in render.workloads(documents)
            if flows.matches(
                {"matchLabels": service["spec"]["selector"]},
                workload["spec"]["template"]["metadata"]["labels"],
            )
        ]
        assert len(chosen) == 1, name
        ports = {p["name"] for c in render.containers(chosen[0]) for p in c.get("ports", [])}
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports, name


def test_selectors_choose_pods(documents: list[Document]) -> None:
    pods = flows.labels_of_pods(documents)
    for workload in render.workloads(documents):
        selector = workload["spec"]["selector"]
        assert [p for p in pods if flows.matches(selector, p)] == [
            workload["spec"]["template"]["metadata"]["labels"]
        ]
    for kind in ("PodDisruptionBudget", "PodMonitor"):
        for found in named(documents, kind).values():
            assert any(flows.matches(found["spec"]["selector"], p) for p in pods)
    for name, policy in named(documents, "NetworkPolicy").items():
        assert flows.chosen(documents, policy["spec"]["podSelector"]), name


def test_a_budget_leaves_a_pod_to_evict(documents: list[Document]) -> None:
    scalers = named(documents, "HorizontalPodAutoscaler")
    for name, budget in named(documents, "PodDisruptionBudget").items():
        deployment = named(documents, "Deployment")[name]["spec"]
        fewest = scalers[name]["spec"]["minReplicas"] if name in scalers else deployment["replicas"]
        assert fewest > budget["spec"]["minAvailable"]


def test_an_autoscalers_part_has_no_number_of_its_own(documents: list[Document]) -> None:
    for name, scaler in named(documents, "HorizontalPodAutoscaler").items():
        assert scaler["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in named(documents, "Deployment")[name]["spec"]


def test_ingresses_lead_to_services(documents: list[Document]) -> None:
    for ingress in named(documents, "Ingress").values():
        for part in walk(ingress["spec"]):
            if "service" in part:
                service = named(documents, "Service")[part["service"]["name"]]
                assert part["service"]["port"]["name"] in {
                    port["name"] for port in service["spec"]["ports"]
                }


def test_controller_and_ui_agree_on_the_keys_of_logs(documents: list[Document]) -> None:
    store = text_of(documents, "workflow-controller-configmap", "artifactRepository")
    ui = named(documents, "Deployment").get("ml-pipeline-ui")
    if ui is None:
        pytest.skip("an overlay without the UI")
    env = {v["name"]: v for v in render.pod_spec(ui)["containers"][0]["env"]}
    settings = named(documents, "ConfigMap")[
        env["ARGO_ARCHIVE_BUCKETNAME"]["valueFrom"]["configMapKeyRef"]["name"]
    ]["data"]

    assert store["archiveLogs"] is True
    assert store["s3"]["keyFormat"] == env["ARGO_KEYFORMAT"]["value"]
    assert store["s3"]["bucket"] == settings["bucket"]
    assert store["s3"]["insecure"] is not (settings["secure"] == "true")
    assert store["s3"]["region"] == settings["region"]


def test_the_settings_of_the_object_store_agree(documents: list[Document]) -> None:
    name = next(n for n in named(documents, "ConfigMap") if n.startswith("object-store-"))
    settings = named(documents, "ConfigMap")[name]["data"]
    store = text_of(documents, "workflow-controller-configmap", "artifactRepository")["s3"]
    launcher = named(documents, "ConfigMap")["kfp-launcher"]["data"]
    providers = yaml.safe_load(launcher["providers"])
    scheme, _, bucket, *_ = launcher["defaultPipelineRoot"].split("/")
    where = settings["host"] if settings["secure"] == "true" else "minio-service:9000"
    trusted = PUBLIC if PUBLIC in named(documents, "Secret") else ""

    assert store.get("caSecret", {}).get("name", "") == trusted
    assert store["endpoint"] == where
    assert bucket == settings["bucket"]
    assert list(providers) == [scheme.rstrip(":")]
    if "minio" in providers:
        assert providers["minio"]["default"]["endpoint"] == where
        assert providers["minio"]["default"]["region"] == settings["region"]
        assert providers["minio"]["default"]["disableSSL"] is (settings["secure"] == "false")


def test_the_controllers_settings_have_known_keys(documents: list[Document]) -> None:
    known = {"artifactRepository", "executor", "mainContainer", "metricsConfig", "nodeEvents"}
    known |= {"workflowDefaults"}
    data = named(documents, "ConfigMap")["workflow-controller-configmap"]["data"]

    # Argo refuses to start on a key it does not know.
    assert set(data) <= known
    for key in data:
        assert isinstance(yaml.safe_load(data[key]), dict)
    keep = yaml.safe_load(data["workflowDefaults"])["spec"]
    assert keep["ttlStrategy"] == {"secondsAfterCompletion": 86400}
    assert keep["podGC"] == {"strategy": "OnPodSuccess", "deleteDelayDuration": "300s"}


def test_releases_differ_only_in_what_the_release_says() -> None:
    new, old = rendered("overlays/kind"), rendered("combinations/release-2.14.3")
    assert [(d["kind"], d["metadata"]["name"]) for d in new] == [
        (d["kind"], d["metadata"]["name"]) for d in old
    ]
    allowed = {
        ("Namespace", "kubeflow"): {"metadata"},
        ("ConfigMap", "workflow-controller-configmap"): {"data"},
        **{
            ("Deployment", name): {"spec"}
            for name in (
                "ml-pipeline",
                "ml-pipeline-ui",
                "persistence-agent",
                "scheduled-workflow",
                "warm-driver",
                "workflow-controller",
            )
        },
    }
    tags = {
        version("KFP_RELEASE"): version("KFP_MODULE_RELEASE"),
        version("ARGO_RELEASE"): version("ARGO_MODULE_VERSION"),
    }
    for one, other in zip(new, old, strict=True):
        which = (one["kind"], one["metadata"]["name"])
        different = {key for key in one | other if one.get(key) != other.get(key)}
        assert different == allowed.get(which, set()), which
        if one["kind"] == "Deployment" and different and which[1] != "scheduled-workflow":
            text = yaml.safe_dump(one)
            for mine, theirs in tags.items():
                text = text.replace(f":{mine}", f":{theirs}")
            assert yaml.safe_load(text) == other
    assert [
        namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for namespace in (named(new, "Namespace")["kubeflow"], named(old, "Namespace")["kubeflow"])
    ] == ["restricted", "baseline"]


def test_there_is_something_to_test() -> None:
    assert {name.split("/")[0] for name in SUBJECTS} == {"overlays", "combinations"}


def test_the_overlay_for_any_cluster_has_nothing_of_a_certain_one() -> None:
    documents = rendered("overlays/cluster")
    claims = [
        claim["spec"]
        for store in named(documents, "StatefulSet").values()
        for claim in store["spec"]["volumeClaimTemplates"]
    ]

    assert {d["apiVersion"].partition("/")[0] for d in documents}.isdisjoint(FOREIGN)
    assert {s["spec"].get("type") for s in named(documents, "Service").values()} == {None}
    assert named(documents, "Ingress") == {}
    assert claims
    assert [claim for claim in claims if "storageClassName" in claim] == []
    assert [i for i in render.images(documents) if i.startswith("kfpkit")] == []


@pytest.mark.parametrize("folder", sorted((render.MANIFESTS / "cluster").iterdir()), ids=str)
def test_what_the_kind_cluster_gets_first_is_valid_and_of_the_built_version(folder: Path) -> None:
    documents = rendered_folder(folder)

    for document in documents:
        kubernetes_validate.validate(document, "1.34", strict=True)
    assert render.images(documents) <= {mirror.metrics_server()}


def test_mirror_names_one_registry() -> None:
    images = render.images(rendered("combinations/mirror"))

    assert {image.split("/")[0] for image in images} == {"registry.example.com"}
