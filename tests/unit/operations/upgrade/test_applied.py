"""What was applied, told from what Kubernetes notes on an object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kfpkit.kfp.target import Target
from kfpkit.operations.upgrade.applied import as_applied, gone, record

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PORT = {"containerPort": 8888, "protocol": "TCP"}


def note(fields: dict[str, Any], operation: str = "Apply", **more: str) -> dict[str, Any]:
    return {"manager": "kubectl", "operation": operation, "fieldsV1": fields, **more}


def deployment(*notes: dict[str, Any]) -> dict[str, Any]:
    container = {
        "name": "api",
        "image": "api:1",
        "ports": [{"name": "http", **PORT}],
        "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
        "args": ["--one", "--two"],
        "imagePullPolicy": "IfNotPresent",
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "api",
            "namespace": "here",
            "uid": "u",
            "annotations": {"of": "us", "restarted": "by somebody"},
            "managedFields": list(notes),
        },
        "spec": {
            "replicas": 2,
            "strategy": {"type": "Recreate"},
            "template": {"spec": {"containers": [container], "volumes": [{"name": "tmp"}]}},
        },
        "status": {"replicas": 2},
    }


CONTAINER: dict[str, Any] = {
    ".": {},
    "f:name": {},
    "f:image": {},
    "f:args": {},
    "f:ports": {f"k:{json.dumps(PORT)}": {".": {}, "f:containerPort": {}, "f:name": {}}},
    "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
}
FIELDS = {
    "f:metadata": {"f:annotations": {"f:of": {}}},
    "f:spec": {
        "f:strategy": {},
        "f:template": {"f:spec": {"f:containers": {'k:{"name":"api"}': CONTAINER}}},
    },
}


def test_only_what_was_applied_is_returned() -> None:
    assert as_applied(deployment(note(FIELDS))) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "api", "namespace": "here", "annotations": {"of": "us"}},
        "spec": {
            "strategy": {"type": "Recreate"},
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "api",
                            "image": "api:1",
                            "args": ["--one", "--two"],
                            "ports": [{"name": "http", "containerPort": 8888}],
                            "env": [{"name": "A", "value": "1"}],
                        }
                    ]
                }
            },
        },
    }


def test_the_number_of_pods_that_kubectl_scale_has_set_is_part_of_it() -> None:
    scaled = note({"f:spec": {"f:replicas": {}}}, "Update", subresource="scale")
    found = as_applied(deployment(note(FIELDS), scaled))
    assert found is not None
    assert found["spec"]["replicas"] == 2
    assert found["spec"]["strategy"] == {"type": "Recreate"}


def test_values_of_a_set_are_kept_by_value() -> None:
    item = deployment(note({"f:metadata": {"f:finalizers": {'v:"mine"': {}}}}))
    item["metadata"]["finalizers"] = ["theirs", "mine"]
    found = as_applied(item)
    assert found is not None
    assert found["metadata"]["finalizers"] == ["mine"]


def test_what_another_program_made_is_none_of_ours() -> None:
    assert as_applied(deployment(note(FIELDS, "Update"))) is None
    assert as_applied(deployment({**note(FIELDS), "manager": "argocd"})) is None


def test_objects_that_hold_data_and_configmaps_named_after_their_content_stay() -> None:
    def item(kind: str, name: str) -> dict[str, Any]:
        return {"kind": kind, "metadata": {"name": name}}

    there = [
        item("Deployment", "left"),
        item("Deployment", "same"),
        item("ConfigMap", "plain"),
        item("ConfigMap", "settings-5m6hk2t9cb"),
        item("Secret", "password"),
        item("PersistentVolumeClaim", "data"),
        item("CustomResourceDefinition", "workflows.argoproj.io"),
    ]
    wanted = [item("Deployment", "same"), item("Service", "left")]
    names = [d["metadata"]["name"] for d in gone(there, wanted)]
    assert names == ["left", "plain"]


def test_a_recorded_overlay_is_applied_from_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target("kind-packages", "nowhere", "kubectl")
    file = tmp_path / "upgrade.yaml"
    made = record(target, target.documents, {"ml-pipeline": 0}, file)
    monkeypatch.setattr("kfpkit.core.process._dry_run", True)
    assert not made.write().file.exists()
    monkeypatch.setattr("kfpkit.core.process._dry_run", False)
    assert made.write().file.exists()
    assert made.namespace == target.namespace
    assert made.apply[-2:] == ["--filename", str(file)]
    pods = {
        d["metadata"]["name"]: d["spec"]["replicas"]
        for d in made.documents
        if d["kind"] == "Deployment"
    }
    assert pods["ml-pipeline"] == 0
    assert pods["workflow-controller"] == 1
    before = [d for d in target.documents if d["metadata"]["name"] == "ml-pipeline"]
    assert before[-1] not in [d for d in made.documents if d["kind"] == "Deployment"]
