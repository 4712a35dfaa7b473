"""Writing a node's end into its Workflow, beside a controller that writes there too."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import requests

from kfpkit.kfp.workflow import nodes
from kfpkit.warm import api

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kfpkit.warm.api import Api
    from kfpkit.warm.drive import Job

#: Annotation that says when a Workflow was last touched.
TOUCHED = "kfpkit.dev/touched"

#: How often a write is tried again after the Workflow has changed in between.
TRIES = 20


def ended(
    outputs: Mapping[str, str] | None, reason: str, log: dict[str, Any] | None
) -> dict[str, Any]:
    """Return what a node's end changes of it, as `argo node set` does it.

    Args:
        outputs: Values of its outputs by name; None where it failed.
        reason: Why it failed.
        log: Where its log is, as Argo has it of a pod's.
    """
    values = [
        {"name": name, "value": value, "valueFrom": {"supplied": {}}}
        for name, value in (outputs or {}).items()
    ]
    artifacts = {"artifacts": [{"name": "main-logs", **log}]} if log else {}
    return {
        "phase": "Succeeded" if outputs is not None else "Failed",
        "finishedAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "message": f"driver: {reason}" if outputs is None else "",
        "outputs": {"parameters": values, **artifacts},
    }


class Writer:
    """Writes changes of nodes; those of one Workflow that come together become one write."""

    def __init__(self, kubernetes: Api) -> None:
        self._api = kubernetes
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}

    def write(self, job: Job, change: dict[str, Any]) -> None:
        """Write a change of a node that is still suspended; of another it is dropped.

        Raises:
            requests.RequestException: The Kubernetes API is away.
        """
        place = (job.name, job.key[0])
        with self._lock:
            self._waiting.setdefault(place, {})[str(job.node["id"])] = change
            lock = self._locks.setdefault(place, threading.Lock())
        with lock:
            with self._lock:
                changes = self._waiting.pop(place, {})
            try:
                if changes:
                    self._write(*place, changes)
            except requests.RequestException:
                with self._lock:
                    self._waiting[place] = {**changes, **self._waiting.get(place, {})}
                raise
        with self._lock:
            if place not in self._waiting and not lock.locked():
                self._locks.pop(place, None)

    def touch(self, job: Job) -> None:
        """Change nothing of a Workflow that matters, so that whoever watches it sees it again.

        Raises:
            requests.RequestException: The Kubernetes API is away, or the Workflow is.
        """
        now = datetime.now(UTC).isoformat()
        path = f"/metadata/annotations/{TOUCHED.replace('/', '~1')}"
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": job.key[0]},
            {"op": "add", "path": path, "value": now},
        ]
        self._api.patch(api.WORKFLOWS, job.name, operations)

    def _write(self, name: str, uid: str, changes: dict[str, dict[str, Any]]) -> None:
        for attempt in range(TRIES):
            try:
                if attempt == 0:
                    self._api.patch(api.WORKFLOWS, name, list(_operations(uid, changes)))
                else:
                    self._replace(name, uid, changes)
            except requests.RequestException as error:
                if api.refused(error, 404):
                    return  # The run was deleted.
                # 422: a test failed; 409: it changed in between.
                if not api.refused(error, 409, 422) or attempt == TRIES - 1:
                    raise
            else:
                return

    def _replace(self, name: str, uid: str, changes: dict[str, dict[str, Any]]) -> None:
        """Write by replacing the whole object: where nodes are packed, or some have ended."""
        workflow = self._api.get(api.WORKFLOWS, name)
        if workflow["metadata"]["uid"] != uid:
            return
        status = workflow.get("status", {})
        known = nodes(status)
        open_ = {node: c for node, c in changes.items() if is_open(known.get(node, {}))}
        if not open_:
            return
        for node, change in open_.items():
            known[node] |= change
        if status.get("compressedNodes"):
            packed = gzip.compress(json.dumps(known).encode())
            status["compressedNodes"] = base64.b64encode(packed).decode()
        else:
            status["nodes"] = known
        self._api.replace(api.WORKFLOWS, workflow)


def is_open(node: Mapping[str, Any]) -> bool:
    """Whether a node is suspended, and so may be a driver's."""
    return node.get("type") == "Suspend" and node.get("phase") == "Running"


def _operations(uid: str, changes: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a JSON patch that changes nothing unless all nodes are still running."""
    yield {"op": "test", "path": "/metadata/uid", "value": uid}
    for node, change in changes.items():
        yield {"op": "test", "path": f"/status/nodes/{node}/phase", "value": "Running"}
        for key, value in change.items():
            yield {"op": "add", "path": f"/status/nodes/{node}/{key}", "value": value}
