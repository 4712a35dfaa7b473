"""What the webhook makes of a Workflow, and what it leaves alone."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest

from kfpkit.kfp.workflow import ANNOTATION
from kfpkit.warm import webhook

IMAGE = "kfp-driver:1"

#: A text of a user with all that Argo, KFP and JSON could read in it.
TEXT = 'a {{workflow.status}} {{=1+1}} {{$.x}} {"b": "{{item}}"} \\{{ é }}'


def driver(name: str, *more: str) -> dict[str, Any]:
    return {
        "name": name,
        "inputs": {"parameters": [{"name": "component"}, {"name": "task", "default": ""}]},
        "outputs": {
            "parameters": [
                {"name": "condition", "valueFrom": {"path": "/c", "default": "true"}},
                {"name": "execution-id", "valueFrom": {"path": "/e"}},
            ]
        },
        "container": {
            "image": IMAGE,
            "command": ["driver"],
            "args": [
                *("--run_display_name", "{{workflow.name}}", "--run_name", "{{workflow.name}}"),
                *("--component", "{{inputs.parameters.component}}"),
                *("--condition_path", "{{outputs.parameters.condition.path}}"),
                *("--pipeline_job_create_time_utc", "{{workflow.creationTimestamp}}"),
                *more,
            ],
            "env": [
                {"name": "KFP_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "PLAIN", "value": "x"},
            ],
        },
    }


def task(name: str, template: str, **arguments: str) -> dict[str, Any]:
    parameters = [{"name": key, "value": value} for key, value in arguments.items()]
    return {"name": name, "template": template, "arguments": {"parameters": parameters}}


def workflow(*templates: dict[str, Any], **arguments: str) -> dict[str, Any]:
    parameters = [{"name": key, "value": value} for key, value in arguments.items()]
    return {
        "metadata": {"name": "w-1", "annotations": {"kept": "1"}},
        "spec": {"templates": [*templates], "arguments": {"parameters": parameters}},
    }


def applied(item: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Apply a JSON patch of `add`, `replace` and `remove`."""
    item = copy.deepcopy(item)
    for operation in operations:
        parts = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
        place: Any = item
        for part in parts[:-1]:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if parts[-1] == "-":
            place.append(operation["value"])
        elif isinstance(place, list):
            place[int(parts[-1])] = operation["value"]
        elif operation["op"] == "remove":
            del place[parts[-1]]
        else:
            assert operation["op"] == "add" or parts[-1] in place
            place[parts[-1]] = operation["value"]
    return item


def changed(item: dict[str, Any]) -> dict[str, Any]:
    return applied(item, webhook.changes(item, IMAGE))


def test_a_driver_suspends_and_its_command_line_is_kept() -> None:
    after = changed(workflow(driver("system-container-driver"), driver("system-dag-driver")))
    first, second = after["spec"]["templates"]
    assert "container" not in first
    assert first["suspend"] == {}
    assert second["suspend"] == {}
    assert first["inputs"] == driver("x")["inputs"]
    supplied = {p["name"]: p["valueFrom"] for p in first["outputs"]["parameters"]}
    assert supplied == {"condition": {"supplied": {}}, "execution-id": {"supplied": {}}}
    assert after["metadata"]["annotations"]["kept"] == "1"
    note = json.loads(after["metadata"]["annotations"][ANNOTATION])
    assert note["system-dag-driver"] == {
        "args": driver("x")["container"]["args"],
        "env": {"KFP_POD_NAME": "$(metadata.name)", "PLAIN": "x"},
        "outputs": {"condition": "true", "execution-id": None},
    }


def test_a_workflow_without_annotations_gets_them() -> None:
    item = workflow(driver("system-dag-driver"))
    del item["metadata"]["annotations"]
    assert list(changed(item)["metadata"]["annotations"]) == [ANNOTATION]


def test_a_workflow_that_was_changed_before_stays_as_it_is() -> None:
    after = changed(workflow(driver("system-dag-driver")))
    assert webhook.changes(after, IMAGE) == []


@pytest.mark.parametrize(
    "part",
    [
        {"volumes": [{"name": "ca"}]},
        {"inputs": {"artifacts": [{"name": "a"}]}},
        {"retryStrategy": {"limit": 2}},
        {"container": {"image": "kfp-driver:2"}},
        {"container": {"command": ["sh"]}},
        {"container": {"envFrom": [{"secretRef": {"name": "s"}}]}},
        {"container": {"volumeMounts": [{"name": "ca"}]}},
        {"container": {"env": [{"name": "S", "valueFrom": {"secretKeyRef": {"name": "s"}}}]}},
        {"container": {"args": ["--x", "{{pod.name}}"]}},
        {"container": {"args": ["--metadata_tls_enabled"]}},
        {"name": "system-container-impl"},
    ],
    ids=str,
)
def test_what_needs_a_pod_keeps_it(part: dict[str, Any]) -> None:
    template = driver("system-dag-driver")
    for key, value in part.items():
        template[key] = template.get(key, {}) | value if isinstance(value, dict) else value
    assert webhook.changes(workflow(template), IMAGE) == []


def test_a_task_that_makes_a_volume_keeps_its_drivers_pod() -> None:
    item = workflow(
        driver("system-container-driver"),
        {
            "name": "root",
            "dag": {
                "tasks": [
                    task(
                        "make-driver",
                        "system-container-driver",
                        container="{{workflow.parameters.i-1}}",
                    ),
                    task(
                        "work-driver",
                        "system-container-driver",
                        container="{{workflow.parameters.i-2}}",
                    ),
                ]
            },
        },
        **{"i-1": '{"image":"argostub/createpvc"}', "i-2": '{"image":"python"}'},
    )
    after = changed(item)
    templates = {template["name"]: template for template in after["spec"]["templates"]}
    make, work = templates["root"]["dag"]["tasks"]
    # A run that is tried again after its Workflow is gone comes once more, as it was kept.
    assert webhook.changes(after, IMAGE) == []
    assert make["template"] == "pod-system-container-driver"
    assert work["template"] == "system-container-driver"
    assert "container" in templates[make["template"]]
    assert "suspend" in templates[work["template"]]


def test_the_copy_of_the_launcher_may_use_a_whole_processor() -> None:
    limits = {"limits": {"cpu": "500m", "memory": "128Mi"}, "requests": {"cpu": "100m"}}
    copies = [{"name": n, "resources": copy.deepcopy(limits)} for n in ("mine", "kfp-launcher")]
    impl = {"name": "system-container-impl", "initContainers": copies}
    mine, theirs = changed(workflow(impl, driver("system-dag-driver")))["spec"]["templates"][0][
        "initContainers"
    ]
    assert mine["resources"] == limits
    assert theirs["resources"] == {**limits, "limits": {"memory": "128Mi"}}


def test_texts_of_users_stay_data_wherever_they_are() -> None:
    value = json.dumps({"runtimeValue": {"constant": TEXT}})
    hook = {"exit": {"template": "t", **task("", "t", task=value)}}
    item = workflow(
        driver("system-dag-driver"),
        {"name": "root", "dag": {"tasks": [{**task("t", "t", task=value), "hooks": hook}]}},
        component=value,
    )
    after = changed(item)
    inner = after["spec"]["templates"][1]["dag"]["tasks"][0]
    for holder in (after["spec"], inner, inner["hooks"]["exit"]):
        found = holder["arguments"]["parameters"][0]["value"]
        assert "{{" not in found
        assert json.loads(found) == json.loads(value)


@pytest.mark.parametrize(
    "value",
    ["{{workflow.parameters.x}}", "{{tasks.a.outputs.parameters.b}}", "{not json {{x}}", "", "7"],
)
def test_what_the_compiler_filled_in_stays(value: str) -> None:
    assert webhook.as_data(value) == value


def test_a_placeholder_is_an_argument_of_its_own_and_what_is_filled_in_is_not_read_again() -> None:
    line = [
        "--run_display_name",
        "{{workflow.name}}",
        "--run_name",
        "{{ workflow.name }}",
        "a{{b}}",
    ]
    seen = webhook.filled(line, lambda name: f"{{{{{name}}}}}!")
    assert seen == [*line[:3], "{{workflow.name}}!", "a{{b}}"]


def test_a_review_answers_for_its_own_namespace_alone() -> None:
    for namespace, wanted in (("kubeflow", True), ("other", False)):
        request = {
            "uid": "u",
            "namespace": namespace,
            "object": workflow(driver("system-dag-driver")),
        }
        body = json.dumps({"request": request}).encode()
        answer = json.loads(webhook.review(body, IMAGE, "kubeflow"))["response"]
        assert answer["allowed"] is True
        assert answer["uid"] == "u"
        assert ("patch" in answer) is wanted
        if wanted:
            json.loads(base64.b64decode(answer["patch"]))
