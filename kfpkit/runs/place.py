"""Where a pipeline runs that does not run on this machine: a cluster, and the way to its API."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import targets_file
from kfpkit.kube import forward
from kfpkit.kube.health import RUN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.kfp.target import Target


@dataclass(frozen=True)
class Place:
    """A cluster with Kubeflow Pipelines on it.

    Attributes:
        name: What the user calls it, for the report.
        target: The overlay and the context.
        host: Address of its API.
        ui: Address of its web UI; empty where none is known.
    """

    name: str
    target: Target
    host: str
    ui: str

    def link(self, run_id: str) -> str:
        """Return where the web UI shows a run; empty where there is none."""
        return f"{self.ui}/#/runs/details/{run_id}" if self.ui else ""

    def selector(self, run_id: str) -> str:
        """Return kubectl's option that selects what belongs to a run."""
        return f"--selector={RUN}={run_id}"

    def by_hand(self, run_id: str) -> dict[str, str]:
        """Return the commands with which a person looks at a run, follows it, and ends it."""
        end = f"{self.host}/apis/v2beta1/runs/{run_id}:terminate"
        return {
            "look at it": self.target.line("get", "pods", self.selector(run_id)),
            "go on from here": process.line(
                ["make", "report", f"RUN={run_id}", *self.target.variables]
            ),
            "end it": process.line(["curl", "--request", "POST", end]),
        }


@contextmanager
def find(target: Target, host: str = "") -> Iterator[Place]:
    """Find the way to the API of a target for the length of a `with` block.

    Args:
        target: The cluster, and what is installed there.
        host: Address of the API; default the target's own, on the kind cluster that of its node
            port, elsewhere a port that is opened here.

    Raises:
        BadInputError: The address is none.
        KitError: Kubeflow Pipelines is not there.
    """
    if mistake := host and targets_file.wrong_address(host):
        raise BadInputError(
            f"the address of the KFP API {mistake}", "Write https://host:port/path, or leave it out"
        )
    services = {d["metadata"]["name"] for d in target.documents if d["kind"] == "Service"}
    name, kind = target.name or target.overlay, target.kind
    ui = kind.ui if kind and "ml-pipeline-ui-nodeport" in services else ""
    host = host or target.host
    if not host and kind and "ml-pipeline-nodeport" in services:
        host = kind.api
    if host:
        yield Place(name, target, host.rstrip("/"), ui)
    elif process.dry_run():
        service = f"service/{forward.API.name}"
        console.say(f"$ {target.line('port-forward', service, 'PORT:8888')}")
        yield Place(name, target, "http://localhost:PORT", ui)
    else:
        with forward.opened(target, forward.API) as address:
            yield Place(name, target, f"http://{address}", ui)
