"""The few calls to the Kubernetes API that the warm driver makes, with its ServiceAccount."""

from __future__ import annotations

import base64
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where a pod finds its ServiceAccount's token and the API's certificate authority.
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

#: Seconds until a connection stands, and until an answer comes.
TIMEOUT = (3.0, 10.0)

#: Seconds that one watch lasts.
WATCH = 60

#: Label that Argo gives a Workflow that has ended.
ENDED = "workflows.argoproj.io/completed"

JSON_PATCH = "application/json-patch+json"

WORKFLOWS = "apis/argoproj.io/v1alpha1/namespaces/{}/workflows"
LEASES = "apis/coordination.k8s.io/v1/namespaces/{}/leases"
SECRETS = "api/v1/namespaces/{}/secrets"


class Api:
    """The Kubernetes API as one namespace's pods see it; any thread may use it.

    Methods raise `requests.RequestException` where it does not answer, or refuses.
    """

    def __init__(self, namespace: str) -> None:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        self._root = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._namespace = namespace
        self._local = threading.local()

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object; `kind` is one of the paths above."""
        return self._json("GET", kind, name)

    def create(self, kind: str, item: dict[str, Any]) -> dict[str, Any]:
        """Make an object."""
        return self._json("POST", kind, json=item)

    def replace(self, kind: str, item: dict[str, Any]) -> dict[str, Any]:
        """Replace an object, if it still has the resource version that the given one has."""
        return self._json("PUT", kind, item["metadata"]["name"], json=item)

    def patch(self, kind: str, name: str, operations: list[dict[str, Any]]) -> None:
        """Change an object by a JSON patch, all of it or nothing."""
        body = json.dumps(operations)
        self._send("PATCH", kind, name, data=body, headers={"Content-Type": JSON_PATCH})

    def secret(self, name: str, key: str) -> str:
        """Return one value of a Secret."""
        return base64.b64decode(self.get(SECRETS, name)["data"][key]).decode()

    def running(self) -> tuple[list[dict[str, Any]], str]:
        """Return the Workflows that have not ended, and the list's resource version."""
        found = self._json("GET", WORKFLOWS, params={"labelSelector": f"{ENDED}!=true"})
        return found["items"], found["metadata"]["resourceVersion"]

    def changes(self, version: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the changes of those Workflows since a list, for a minute: what, and the Workflow.

        One that ends leaves the selection, and so comes as `DELETED`.
        """
        params = {
            "watch": "1",
            "labelSelector": f"{ENDED}!=true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH),
        }
        times = (TIMEOUT[0], WATCH + TIMEOUT[1])
        answer = self._send("GET", WORKFLOWS, params=params, stream=True, timeout=times)
        with answer:
            for line in answer.iter_lines(chunk_size=None):
                event = json.loads(line)
                if event["type"] == "ERROR":  # mostly 410: the version is too old by now
                    return
                yield event["type"], event["object"]

    def _json(self, method: str, kind: str, name: str = "", **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._send(method, kind, name, **more).json()
        return found

    def _send(self, method: str, kind: str, name: str = "", **more: Any) -> requests.Response:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.verify = str(ACCOUNT / "ca.crt")
            self._local.session.trust_env = False  # no proxy leads to the cluster's own API
        session: requests.Session = self._local.session
        # The kubelet writes a new token each hour.
        headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}
        headers |= more.pop("headers", {})
        url = "/".join([self._root, kind.format(self._namespace), *filter(None, [name])])
        answer = session.request(method, url, headers=headers, **{"timeout": TIMEOUT, **more})
        answer.raise_for_status()
        return answer


def refused(error: requests.RequestException, *codes: int) -> bool:
    """Whether the API answered with one of these codes."""
    return error.response is not None and error.response.status_code in codes
