"""As much of a cluster as keeps ConfigMaps, with a clock of its own."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from kfpkit.core import process
from kfpkit.kfp.target import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kfpkit.kube.render import Document

OVERLAY = "kind-packages"

OK, REFUSED = process.Result(0, "", ""), process.Result(1, "", "refused")


@dataclass
class State:
    """What is there, and what was asked of it."""

    configmaps: dict[str, dict[str, Any]] = field(default_factory=dict)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    #: Seconds.
    clock: int = 0
    #: What changed something, in order; of the record only what else the caller did.
    ran: list[str] = field(default_factory=list)
    versions: itertools.count[int] = field(default_factory=lambda: itertools.count(1))


class Cluster(Target):
    """A target that answers out of a `State`."""

    state: State

    def has_namespace(self) -> bool:
        return True

    def items(self, kinds: Sequence[str], *_: str) -> list[dict[str, Any]]:
        found = {"configmaps": list(self.state.configmaps.values())}
        found["deployments"] = self.state.deployments
        return [item for kind in kinds for item in found.get(kind, [])]

    def run(
        self, *arguments: str, stdin: str | None = None, check: bool = True, do: str = ""
    ) -> process.Result:
        del do
        done = self._do(arguments, stdin)
        assert done.ok or not check, arguments
        return done

    def query(
        self, *arguments: str, check: bool = True, stdin: str | None = None
    ) -> process.Result:
        del check
        if arguments[:2] == ("get", "configmap"):
            found = self.state.configmaps.get(arguments[2])
            return process.Result(0, json.dumps(found) if found else "", "")
        if arguments[:2] == ("get", "secret"):
            return process.Result(0, "secret" if arguments[2] in self.state.secrets else "", "")
        return self._do(arguments, stdin) if arguments[0] == "patch" else OK

    def _do(self, arguments: tuple[str, ...], stdin: str | None) -> process.Result:
        there = self.state.configmaps
        item = json.loads(stdin) if stdin and stdin.startswith("{") else None
        match arguments:
            case ("create" | "replace" | "apply" as verb, *_) if item:
                name = item["metadata"]["name"]
                version = item["metadata"].get("resourceVersion")
                if (verb == "create" and name in there) or (
                    verb == "replace" and version != there[name]["metadata"]["resourceVersion"]
                ):
                    return REFUSED
                self._keep(item)
            case ("patch", "configmap", name, _, patch, *more):
                if name not in there:
                    return REFUSED
                steps = json.loads(patch.removeprefix("--patch="))
                data = dict(there[name]["data"])
                for step in steps:
                    key = step["path"].removeprefix("/data/")
                    if step["op"] == "test" and data[key] != step["value"]:
                        return REFUSED
                    data[key] = step["value"]
                if "--dry-run=server" in more:
                    now = {"manager": "kfpkit-now", "time": self._time(self.state.clock)}
                    fields = [*there[name]["metadata"]["managedFields"], now]
                    said = {"metadata": {"managedFields": fields}}
                    return process.Result(0, json.dumps(said), "")
                self._keep({**there[name], "data": data})
            case ("delete", "configmap", name, *_):
                there.pop(name, None)
            case _:
                self.state.ran.append(" ".join(arguments))
        return OK

    def _keep(self, item: dict[str, Any]) -> None:
        changed = {"manager": "kubectl-patch", "time": self._time(self.state.clock)}
        metadata = {
            "name": item["metadata"]["name"],
            "resourceVersion": str(next(self.state.versions)),
            "managedFields": [changed],
        }
        self.state.configmaps[metadata["name"]] = {**item, "metadata": metadata}

    @staticmethod
    def _time(seconds: int) -> str:
        return f"2026-11-28T12:{seconds // 60:02}:{seconds % 60:02}Z"


@cache
def _documents() -> list[Document]:
    """Return what the overlay makes, rendered once: that takes a second."""
    return Target(OVERLAY, "nowhere", "kubectl").documents


def cluster() -> Cluster:
    """Return an empty one."""
    made = Cluster(OVERLAY, "nowhere", "kubectl")
    object.__setattr__(made, "state", State())
    made.__dict__["documents"] = _documents()
    return made
