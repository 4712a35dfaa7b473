"""Upstream's settings as rendered, and whose turn it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from benchmarks import sides
from kfpkit.core.errors import BadInputError
from kfpkit.kfp.target import Target
from kfpkit.kube import render
from tests.support.renders import PINNED, named, rendered, rendered_folder, text_of

if TYPE_CHECKING:
    from kfpkit.kube.render import Document


@pytest.fixture
def documents() -> list[Document]:
    return rendered_folder(sides.UPSTREAM)


def container(documents: list[Document], name: str) -> Document:
    workloads = {d["metadata"]["name"]: d for d in render.workloads(documents)}
    found: Document = render.pod_spec(workloads[name])["containers"][0]
    return found


def test_it_is_valid_and_of_the_images_of_ours(documents: list[Document]) -> None:
    for document in documents:
        kubernetes_validate.validate(document, "1.34", strict=True)
    ours = render.images(rendered(f"overlays/{sides.BESIDE}"))
    assert {image for image in render.images(documents) if not PINNED.fullmatch(image)} == set()
    assert render.images(documents) <= ours


def test_it_clashes_with_nothing_of_ours(documents: list[Document]) -> None:
    """What has no namespace is the kinds, the same on both sides, and the namespace itself."""
    ours = rendered(f"overlays/{sides.BESIDE}")
    wide = [d for d in documents if "namespace" not in d["metadata"]]
    kinds = [d for d in wide if d["kind"] == "CustomResourceDefinition"]

    assert {d["kind"] for d in wide} == {"Namespace", "CustomResourceDefinition"}
    assert all(kind in ours for kind in kinds)
    assert render.namespace(documents) != render.namespace(ours)
    assert "nodePort" not in json.dumps(documents)


def test_no_part_has_a_limit_or_asks_for_more_than_upstreams(documents: list[Document]) -> None:
    asked = {
        workload["metadata"]["name"]: container(documents, workload["metadata"]["name"]).get(
            "resources", {}
        )
        for workload in render.workloads(documents)
    }
    requests = {
        "ml-pipeline": ("250m", "500Mi"),
        "persistence-agent": ("120m", "500Mi"),
        "workflow-controller": ("100m", "500Mi"),
        "database": ("100m", "800Mi"),
        "object-store": ("20m", "100Mi"),
        "scheduled-workflow": None,
        "metadata-envoy": None,
        "metadata-grpc": None,
    }
    assert asked == {
        name: {"requests": {"cpu": both[0], "memory": both[1]}} if both else {}
        for name, both in requests.items()
    }


def test_the_controller_has_argos_own_pace(documents: list[Document]) -> None:
    """Whatever the base sets for speed must not be here: what is new there is to be taken out."""
    controller = container(documents, "workflow-controller")
    settings = named(documents, "ConfigMap")["workflow-controller-configmap"]["data"]
    executor = text_of(documents, "workflow-controller-configmap", "executor")

    assert {v["name"] for v in controller["env"]} == {"EXECUTOR_IMAGE", "LEADER_ELECTION_DISABLE"}
    assert [word.partition("=")[0] for word in controller["args"]] == [
        "--configmap",
        "--namespaced",
        "--executor-image",
    ]
    assert settings.keys() == {"artifactRepository", "executor", "mainContainer", "metricsConfig"}
    assert "resources" not in executor
    assert text_of(documents, "workflow-controller-configmap", "artifactRepository")["archiveLogs"]
    assert "resources" not in text_of(documents, "workflow-controller-configmap", "mainContainer")


def test_the_other_parts_have_nothing_for_speed_either(documents: list[Document]) -> None:
    server = container(documents, "ml-pipeline")
    variables = {v["name"]: v.get("value") for v in server["env"]}
    speed = {"CLIENTQPS", "CLIENTBURST", "COMPILED_PIPELINE_SPEC_PATCH", "V2_DRIVER_COMMAND"}
    agent = container(documents, "persistence-agent")["args"]
    maps = {name: d["data"] for name, d in named(documents, "ConfigMap").items()}
    (files,) = (data for name, data in maps.items() if name.startswith("database-files-"))
    (config,) = (json.loads(d["config.json"]) for d in maps.values() if "config.json" in d)
    settings = [line for line in files["kfp.cnf"].splitlines() if "=" in line]

    assert not speed & variables.keys()
    assert variables["PUBLISH_LOGS"] == "true"
    assert "--numWorker=2" in agent
    assert not {word.partition("=")[0] for word in agent} & {"--clientQPS", "--clientBurst"}
    assert config["CacheEnabled"] == "true"
    assert [line.partition(" ")[0] for line in settings] == [
        "character-set-server",
        "collation-server",
        "max-allowed-packet",
    ]
    assert named(documents, "MutatingWebhookConfiguration") == {}
    assert named(documents, "NetworkPolicy") == {}


def test_its_probes_are_upstreams(documents: list[Document]) -> None:
    for name, probes in {
        "ml-pipeline": {"readinessProbe": 5, "livenessProbe": 5},
        "metadata-grpc": {"readinessProbe": 5, "livenessProbe": 5},
        "workflow-controller": {"livenessProbe": 60},
        "database": {},
        "object-store": {},
    }.items():
        found = container(documents, name)
        periods = {
            probe: found[probe]["periodSeconds"]
            for probe in ("readinessProbe", "livenessProbe")
            if probe in found
        }
        assert periods == probes, name


def test_each_patch_says_what_and_why_and_is_used() -> None:
    used = yaml.safe_load((sides.UPSTREAM / "kustomization.yaml").read_text())["patches"]
    files = sorted(file.name for file in sides.UPSTREAM.glob("*.patch.yaml"))

    assert sorted(one["path"] for one in used) == files
    for file in files:
        assert (sides.UPSTREAM / file).read_text().startswith("# ")


def test_what_is_asked_for_is_what_the_manifests_say(documents: list[Document]) -> None:
    asked = sides.asked(documents)
    assert asked["database"] == {"mariadb": "100m"}
    assert asked["metadata-grpc"] == {}


POD: dict[str, Any] = {
    "spec": {
        "containers": [
            {"name": "main", "resources": {"requests": {"cpu": "100m", "memory": "1Mi"}}},
            {"name": "beside", "resources": {}},
        ]
    }
}


@pytest.mark.parametrize(
    ("wanted", "aside", "cpu"),
    [
        ({"main": "100m"}, True, sides.ASIDE),
        ({"main": "100m"}, False, None),
        ({"main": "250m"}, False, "250m"),
        ({}, True, None),
        ({"gone": "100m"}, True, None),
    ],
)
def test_a_pod_steps_aside_and_comes_back(
    wanted: dict[str, str], aside: bool, cpu: str | None
) -> None:
    change = {"name": "main", "resources": {"requests": {"cpu": cpu}}}
    assert sides.resized(POD, wanted, aside=aside) == {"containers": [change] if cpu else []}


def test_another_overlay_is_refused() -> None:
    with pytest.raises(BadInputError, match="compares the overlay kind-packages"):
        sides.both(Target("gke", "some", "kubectl"))
