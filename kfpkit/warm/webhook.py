"""What becomes of a new Workflow: its drivers need no pods, and what users wrote stays data."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from kfpkit.kfp.workflow import ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: Templates of drivers, as KFP's compiler names them (backend/src/v2/compiler/argocompiler).
DRIVERS = ("system-container-driver", "system-dag-driver")

#: Before the name of a driver's template that keeps its pod.
WITH_POD = "pod-"

#: The container of a step's pod that copies KFP's launcher, and is held to half a processor.
_LAUNCHER = "kfp-launcher"

#: Image of a task whose driver does its work, and that is no image: volumes made and deleted.
_NO_IMAGE = "argostub/"

#: What a driver's command line may name. Anything else is left to Argo, and so to a pod.
_KNOWN = re.compile(
    r"inputs\.parameters\.[\w-]+|outputs\.parameters\.[\w-]+\.path"
    r"|workflow\.(uid|name|creationTimestamp|(labels|annotations|parameters)\.[\w./-]+)"
)

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")

#: Arguments whose values are texts of users, whatever is in them.
TEXTS = ("--pipeline_name", "--run_display_name")

#: Arguments of a task that Argo gives to Kubernetes as they are, so not as JSON.
_RAW = "pod-metadata"

_FIELDS = ("metadata.name", "metadata.uid", "metadata.namespace")

#: Parts of a template that only a pod has.
_OF_PODS = ("volumes", "initContainers", "sidecars", "retryStrategy", "script", "podSpecPatch")


def review(body: bytes, image: str, namespace: str) -> bytes:
    """Answer an AdmissionReview: each Workflow is let through, and changed where it may be.

    Args:
        body: The request.
        image: The driver image of this installation.
        namespace: Of the installation.
    """
    request = json.loads(body)["request"]
    response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
    operations = changes(request["object"], image) if request["namespace"] == namespace else []
    if operations:
        patch = base64.b64encode(json.dumps(operations).encode()).decode()
        response |= {"patchType": "JSONPatch", "patch": patch}
    kind = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
    return json.dumps({**kind, "response": response}).encode()


def changes(workflow: dict[str, Any], image: str) -> list[dict[str, Any]]:
    """Return the JSON patch that takes a Workflow's drivers out of their pods; empty if it cannot.

    Args:
        workflow: As KFP's API server made it, or kept it: a run whose Workflow is gone is tried
            again with one that went through here before.
        image: The driver image of this installation: another's may take other arguments.
    """
    templates = workflow["spec"].get("templates", [])
    commands = {
        template["name"]: _command(template)
        for template in templates
        if template["name"].endswith(DRIVERS)
        and not template["name"].startswith(WITH_POD)
        and _fits(template, image)
    }
    if not commands:
        return []
    operations: list[dict[str, Any]] = []
    for number, template in enumerate(templates):
        if template["name"] in commands:
            value = _suspended(template)
            operations.append(
                {"op": "replace", "path": f"/spec/templates/{number}", "value": value}
            )
        operations += _unthrottled(number, template)
    with_pods = set()
    arguments = [(f"/spec{place}", p) for place, p in _parameters(workflow["spec"])]
    values = {parameter["name"]: parameter.get("value", "") for _, parameter in arguments}
    for path, task in _tasks(templates):
        own = {p["name"]: p.get("value", "") for _, p in _parameters(task)}
        container = resolved(str(own.get("container", "")), values)
        if task.get("template") in commands and _NO_IMAGE in container:
            with_pods.add(task["template"])
            name = WITH_POD + task["template"]
            operations.append({"op": "replace", "path": f"{path}/template", "value": name})
        arguments += [(f"{path}{place}", p) for place, p in _parameters(task)]
    for template in templates:
        if template["name"] in with_pods:
            copy = {**template, "name": WITH_POD + template["name"]}
            operations.append({"op": "add", "path": "/spec/templates/-", "value": copy})
    for path, parameter in arguments:
        value = parameter.get("value", "")
        if not parameter["name"].startswith(_RAW) and (plain := as_data(value)) != value:
            operations.append({"op": "replace", "path": f"{path}/value", "value": plain})
    if not workflow["metadata"].get("annotations"):
        operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    key = ANNOTATION.replace("/", "~1")
    note = json.dumps(commands)
    return [*operations, {"op": "add", "path": f"/metadata/annotations/{key}", "value": note}]


def as_data(value: Any) -> Any:
    """Return JSON text without `{{`, which Argo would fill; to whoever reads JSON it is the same.

    Text that is not JSON comes back as it is: the names that KFP's compiler itself has filled.
    """
    if not isinstance(value, str) or "{{" not in value or not value.startswith(("{", "[", '"')):
        return value
    try:
        json.loads(value)
    except ValueError:
        return value
    return value.replace("{{", r"\u007b\u007b")


def resolved(value: str, arguments: Mapping[str, Any]) -> str:
    """Return what a value is that names an argument of the Workflow; another one as it is."""
    name = re.fullmatch(r"\{\{workflow\.parameters\.(.+)\}\}", value)
    return str(arguments.get(name[1], value)) if name else value


def filled(arguments: list[str], lookup: Callable[[str], str]) -> list[str]:
    """Return a command line with its placeholders looked up; texts of users stay as they are.

    KFP's compiler makes of each placeholder an argument of its own.
    """
    return [lookup(name) if name else argument for argument, name in _named(arguments)]


def _named(arguments: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each argument with what it is to be filled with; empty where it is a text."""
    before = ""
    for argument in arguments:
        match = None if before in TEXTS else _PLACEHOLDER.fullmatch(argument)
        yield argument, match[1] if match else ""
        before = argument


def _fits(template: dict[str, Any], image: str) -> bool:
    """Whether all that a driver's template says can be had without a pod."""
    container = template.get("container")
    if not container or any(template.get(part) for part in _OF_PODS):
        return False
    if template.get("inputs", {}).get("artifacts") or template.get("outputs", {}).get("artifacts"):
        return False
    line = [*container.get("command", []), *container.get("args", [])]
    return (
        container.get("image") == image
        and container.get("command", [""])[0].rpartition("/")[2] == "driver"
        and not container.get("envFrom")
        and not container.get("volumeMounts")
        and all(_source(variable) is not None for variable in container.get("env", []))
        # Its proxy to the metadata server speaks without TLS.
        and not any(argument.lstrip("-").startswith("metadata_tls_enabled") for argument in line)
        and all(_KNOWN.fullmatch(name) for _, name in _named(line) if name)
    )


def _source(variable: dict[str, Any]) -> str | None:
    """Return a variable's value, `$(FIELD)` for one of the pod's own; None if it is another's."""
    source = variable.get("valueFrom")
    if not source:
        return str(variable.get("value", ""))
    field = source.get("fieldRef", {}).get("fieldPath")
    return f"$({field})" if field in _FIELDS else None


def _command(template: dict[str, Any]) -> dict[str, Any]:
    container = template["container"]
    outputs = template.get("outputs", {}).get("parameters", [])
    return {
        "args": [*container["command"][1:], *container.get("args", [])],
        "env": {v["name"]: _source(v) for v in container.get("env", [])},
        "outputs": {p["name"]: p["valueFrom"].get("default", p.get("default")) for p in outputs},
    }


def _suspended(template: dict[str, Any]) -> dict[str, Any]:
    outputs = template.get("outputs", {}).get("parameters", [])
    supplied = [{"name": p["name"], "valueFrom": {"supplied": {}}} for p in outputs]
    return {
        "name": template["name"],
        "metadata": template.get("metadata", {}),
        "inputs": template.get("inputs", {}),
        "outputs": {"parameters": supplied},
        "suspend": {},
    }


def _unthrottled(number: int, template: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what takes the limit of processors off the copy of the launcher."""
    for place, container in enumerate(template.get("initContainers", [])):
        limits = container.get("resources", {}).get("limits", {})
        if container.get("name") == _LAUNCHER and "cpu" in limits:
            path = f"/spec/templates/{number}/initContainers/{place}/resources/limits/cpu"
            yield {"op": "remove", "path": path}


def _tasks(templates: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each task of each graph, and each exit handler of one, with its JSON pointer."""
    for number, template in enumerate(templates):
        for place, task in enumerate(template.get("dag", {}).get("tasks", [])):
            path = f"/spec/templates/{number}/dag/tasks/{place}"
            yield path, task
            for name, hook in task.get("hooks", {}).items():
                yield f"{path}/hooks/{name}", hook


def _parameters(item: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the arguments of a Workflow or a task, with their pointers inside it."""
    found = item.get("arguments", {}).get("parameters", [])
    return [(f"/arguments/parameters/{place}", p) for place, p in enumerate(found)]
