"""Writing nodes' ends, with the Kubernetes API's answers told in advance."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
import requests

from kfpkit.kfp.workflow import nodes
from kfpkit.warm.drive import Job
from kfpkit.warm.nodes import Writer, ended


def refusal(code: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = code
    return requests.HTTPError(response=response)


class Told:
    """Keeps one Workflow, with the rules of the real one: tests of a patch, and versions."""

    def __init__(self, status: dict[str, Any], *, refuse: list[int] | None = None) -> None:
        self.item = {"metadata": {"name": "w", "uid": "u"}, "status": status}
        self.refuse = refuse or []
        self.writes = 0

    def _may(self) -> None:
        if self.refuse:
            raise refusal(self.refuse.pop(0))
        self.writes += 1

    def patch(self, _kind: str, _name: str, operations: list[dict[str, Any]]) -> None:
        known = self.item["status"].get("nodes", {})
        for operation in operations:
            if operation["op"] == "test" and operation["path"].startswith("/status"):
                node = known.get(operation["path"].split("/")[3], {})
                if node.get("phase") != operation["value"]:
                    raise refusal(422)
        self._may()
        for operation in operations:
            if operation["op"] == "add":
                _, _, _, node, key = operation["path"].split("/")
                known[node][key] = operation["value"]

    def get(self, _kind: str, _name: str) -> dict[str, Any]:
        return json.loads(json.dumps(self.item))  # type: ignore[no-any-return]

    def replace(self, _kind: str, item: dict[str, Any]) -> None:
        self._may()
        self.item = item


def suspended() -> dict[str, dict[str, Any]]:
    return {
        "w-1": {"type": "Suspend", "phase": "Running"},
        "w-2": {"type": "Suspend", "phase": "Failed"},
    }


def job(node: str = "w-1") -> Job:
    return Job({"metadata": {"name": "w", "uid": "u"}}, {"id": node}, {})


DONE = ended({"a": "1"}, "", {"s3": {"key": "k"}})


@pytest.mark.parametrize("refuse", [[], [409], [409, 409]])
def test_an_end_is_written_whatever_comes_between(refuse: list[int]) -> None:
    kept = Told({"nodes": suspended()}, refuse=refuse)
    Writer(kept).write(job(), DONE)  # type: ignore[arg-type]
    node = kept.item["status"]["nodes"]["w-1"]
    assert node["phase"] == "Succeeded"
    assert node["outputs"]["parameters"] == [
        {"name": "a", "value": "1", "valueFrom": {"supplied": {}}}
    ]
    assert node["outputs"]["artifacts"] == [{"name": "main-logs", "s3": {"key": "k"}}]


def test_packed_nodes_stay_packed() -> None:
    packed = base64.b64encode(gzip.compress(json.dumps(suspended()).encode())).decode()
    kept = Told({"compressedNodes": packed})
    Writer(kept).write(job(), DONE)  # type: ignore[arg-type]
    assert "nodes" not in kept.item["status"]
    assert nodes(kept.item["status"])["w-1"]["phase"] == "Succeeded"


def test_a_node_that_has_ended_is_left_alone() -> None:
    kept = Told({"nodes": suspended()})
    Writer(kept).write(job("w-2"), DONE)  # type: ignore[arg-type]
    assert kept.item["status"]["nodes"] == suspended()
    assert kept.writes == 0


def test_a_run_that_is_gone_is_no_trouble() -> None:
    Writer(Told({"nodes": suspended()}, refuse=[404])).write(job(), DONE)  # type: ignore[arg-type]


def test_an_end_that_could_not_be_written_is_written_with_the_next() -> None:
    status = {"nodes": {**suspended(), "w-3": {"type": "Suspend", "phase": "Running"}}}
    kept = Told(status, refuse=[500])
    writer = Writer(kept)  # type: ignore[arg-type]
    with pytest.raises(requests.RequestException):
        writer.write(job(), DONE)
    writer.write(job("w-3"), DONE)
    assert kept.writes == 1
    assert {n: kept.item["status"]["nodes"][n]["phase"] for n in ("w-1", "w-3")} == {
        "w-1": "Succeeded",
        "w-3": "Succeeded",
    }


def test_a_failure_says_why_and_has_no_outputs() -> None:
    change = ended(None, "no such input", None)
    assert change["phase"] == "Failed"
    assert change["message"] == "driver: no such input"
    assert change["outputs"] == {"parameters": []}
