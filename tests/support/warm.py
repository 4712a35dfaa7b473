"""Workflows as they are with the option warm-driver, made of those whose drivers have pods."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

from kfpkit.kfp.states import BAD, ENDED
from kfpkit.kfp.workflow import ANNOTATION, LOGS, nodes, pod_name

Object = dict[str, Any]

_TEMPLATES = ("system-container-driver", "system-dag-driver")


def warm(item: Object) -> Object:
    """Return a Workflow with its drivers suspended, as webhook, Argo and warm driver leave it."""
    drivers, templates = {}, []
    for template in item.get("spec", {}).get("templates", []):
        name, container = template.get("name", _TEMPLATES[1]), template.get("container", {})
        if "--pipeline_name" in container.get("args", []):
            drivers[name] = container
            template = {"name": name, "suspend": {}}
        templates.append(template)
    status = item.get("status", {})
    found = {key: _suspended(node) for key, node in nodes(status).items()}
    if "compressedNodes" in status:
        packed = base64.b64encode(gzip.compress(json.dumps(found).encode())).decode()
        status = {**status, "compressedNodes": packed}
    elif found:
        status = {**status, "nodes": found}
    return {
        **item,
        "metadata": {**item.get("metadata", {}), "annotations": {ANNOTATION: json.dumps(drivers)}},
        "spec": {**item.get("spec", {}), "templates": templates},
        "status": status,
    }


def _suspended(node: Object) -> Object:
    if node.get("type") != "Pod" or not node.get("templateName", "").endswith(_TEMPLATES):
        return node
    message, phase = node.get("message", ""), node.get("phase")
    if phase == "Pending":  # No program waits for a node of the cluster.
        message, phase = "", "Running"
    outputs = dict(node.get("outputs", {}))
    if phase in ENDED:
        key = f"{LOGS}{str(node['id']).rpartition('-')[0]}/{pod_name(node)}/main.log"
        outputs.setdefault("artifacts", [{"name": "main-logs", "s3": {"key": key}}])
    suspended = {key: value for key, value in node.items() if key != "hostNodeName"}
    return suspended | {
        "type": "Suspend",
        "phase": phase,
        "message": f"driver: {message}" if phase in BAD and message else message,
        "outputs": outputs,
    }
