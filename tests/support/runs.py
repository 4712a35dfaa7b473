"""A run on the cluster: waiting for it, and looking at what it left."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from kfpkit.cluster.config import load as kind_cluster
from kfpkit.core.errors import WaitTimeoutError
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import workflow

if TYPE_CHECKING:
    from kfpkit.kfp.target import Target

#: Where the option api-nodeport and kind-config.yaml put the API.
HOST = os.environ.get("KFP_HOST", kind_cluster().api)

#: What is imported.
GREETING = "greetings from outside"

#: States that a run does not leave by itself.
FINAL = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")

#: Seconds for a run to end; all runs of the tests share the cluster's processors.
PATIENCE = 900.0

#: Lines of a failed task's log in a failure's text.
LOG_LINES = 30

#: Types of nodes that a program runs for; a driver has a pod, or the warm driver runs it.
WORKS = ("Pod", "Suspend")

#: Label of a Workflow that says whose run it is.
RUN = "pipeline/runid"


@dataclass(frozen=True)
class Run:
    """A run that was started, on the server `host`."""

    client: Any
    target: Target
    host: str
    id: str

    @property
    def state(self) -> str:
        """Its state as the API says it."""
        return str(self.client.get_run(self.id).state)

    def tasks(self) -> dict[str, set[str]]:
        """Return the states of the tasks by name, those of all rounds of a loop together."""
        found: dict[str, set[str]] = {}
        details = self.client.get_run(self.id).run_details  # None until something has happened
        for task in (details and details.task_details) or []:
            if task.display_name:
                found.setdefault(task.display_name, set()).add(str(task.state))
        return found

    def finish(self, expected: str = "SUCCEEDED", timeout: float = PATIENCE) -> Run:
        """Wait until it has ended as expected; else fail with what there is to see of it."""

        def probe() -> str | None:
            state = self.state
            if state in FINAL:
                return None
            running = [name for name, states in self.tasks().items() if states - {*FINAL}]
            return f"{state} ({', '.join(sorted(running)) or 'no task'})"

        try:
            wait_for(f"the end of run {self.id}", probe, timeout=timeout, interval=2)
        except WaitTimeoutError as error:
            pytest.fail(f"{error}\n{self.evidence()}")
        if (state := self.state) != expected:
            pytest.fail(f"the run is {state}, not {expected}\n{self.evidence()}")
        return self

    def wait_until(self, what: str, probe: Any, timeout: float = PATIENCE) -> None:
        """Wait for something in it; where it does not come, fail with what there is to see."""
        try:
            wait_for(what, probe, timeout=timeout, interval=2)
        except WaitTimeoutError as error:
            pytest.fail(f"{error}\n{self.evidence()}")

    @property
    def workflow(self) -> dict[str, Any]:
        """Its Workflow."""
        (found,) = self.target.items(["workflows.argoproj.io"], f"--selector={RUN}={self.id}")
        return found

    def nodes(self) -> list[dict[str, Any]]:
        """Return the nodes of its Workflow."""
        return list(workflow.nodes(self.workflow.get("status", {})).values())

    def pods(self, task: str) -> list[dict[str, Any]]:
        """Return the nodes of the pods that ran a task's own program, in the order of attempts."""
        nodes = {node["id"]: node for node in self.nodes()}
        found = [
            node
            for node in nodes.values()
            if node["type"] == "Pod"
            and node["displayName"].startswith("executor")
            and nodes[node["boundaryID"]]["displayName"] == task
        ]
        # The Workflow has them by their IDs, which are hashes.
        return sorted(found, key=lambda node: (node["startedAt"] or "", node["name"]))

    def drivers(self) -> dict[str, dict[str, str]]:
        """Return what the drivers of the tasks put out, by the names of the tasks."""
        return {
            node["displayName"].removesuffix("-driver"): {
                parameter["name"]: parameter.get("value", "")
                for parameter in node.get("outputs", {}).get("parameters", [])
            }
            for node in self.nodes()
            if node["type"] in WORKS and node["displayName"].endswith("-driver")
        }

    def log(self, task: str) -> str:
        """Return the log of a finished task (all attempts) as the API gives it from the store."""
        return "".join(self.archived(node["id"]) for node in self.pods(task))

    def printed(self) -> str:
        """Return the logs of all finished tasks, in no order."""
        return "".join(
            self.archived(node["id"])
            for node in self.nodes()
            if node["type"] == "Pod" and node["displayName"].startswith("executor")
        )

    def archived(self, node: str) -> str:
        """Return the log of a node's pod from the store."""
        path = f"runs/{self.id}/nodes/{node}/artifacts/main-logs:read"
        answer = requests.get(f"{self.host}/apis/v2beta1/{path}", timeout=30)
        answer.raise_for_status()
        return base64.b64decode(answer.json()["data"]).decode(errors="replace")

    def evidence(self) -> str:
        """Return what there is to see of a run that did not do what it should have done."""
        run = self.client.get_run(self.id)
        lines = [f"run {self.id}: {run.state} {run.error or ''}"]
        lines += [f"  {name}: {', '.join(states)}" for name, states in sorted(self.tasks().items())]
        name = self.workflow["metadata"]["name"]
        pods = ("get", "pods", f"--selector=workflows.argoproj.io/workflow={name}")
        lines.append(self.target.query(*pods, check=False).stdout)
        for node in self.nodes():
            if node.get("phase") not in ("Failed", "Error"):
                continue
            lines.append(f"{node['name']}: {node['phase']}: {node.get('message', '')}")
            if node["type"] in WORKS:
                try:
                    log = self.archived(node["id"])
                except requests.RequestException as error:
                    log = f"no log: {error}"
                lines += [f"    {line}" for line in log.splitlines()[-LOG_LINES:]]
        return "\n".join(lines)


def parsed(output: str) -> Any:
    """Return the JSON that a command printed, after what it says before it."""
    start = min(place for place in (output.find("["), output.find("{")) if place >= 0)
    return json.loads(output[start:])
