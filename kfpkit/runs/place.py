"""Where a pipeline runs that does not run on this machine: a cluster, and the way to its API."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfpkit.cluster.config import load as kind_cluster
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import target as targets
from kfpkit.kube import forward, render
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
            "look at it": process.line(self.target.argv("get", "pods", self.selector(run_id))),
            "go on from here": f"make report RUN={run_id} TARGET={self.name}",
            "end it": process.line(["curl", "--request", "POST", end]),
        }


def names() -> list[str]:
    """Return what a cluster can be called: the overlays, and always `kind`."""
    return sorted({"kind", *render.overlays()})


@contextmanager
def find(name: str, context: str, host: str) -> Iterator[Place]:
    """Find a cluster, and a way to its API for the length of a `with` block.

    Args:
        name: `kind` for the kit's own cluster, or an overlay of manifests/overlays.
        context: A context of the kubeconfig; default that of the kind cluster for `kind`.
        host: Address of the API; default that of the kind cluster's node port, elsewhere a port
            that is opened here.

    Raises:
        BadInputError: There is no such target, or a context is needed.
        KitError: Kubeflow Pipelines is not there.
    """
    if name not in names():
        raise BadInputError(
            f"there is no target {name!r}", f"Targets: {', '.join(['local', *names()])}"
        )
    target = targets.choose("" if name == "kind" else name, context)
    there = {d["metadata"]["name"] for d in target.documents if d["kind"] == "Service"}
    cluster = kind_cluster()
    on_kind = target.context == cluster.context
    ui = cluster.ui if on_kind and "ml-pipeline-ui-nodeport" in there else ""
    if not host and on_kind and "ml-pipeline-nodeport" in there:
        host = cluster.api
    if host:
        yield Place(name, target, host.rstrip("/"), ui)
    elif process.dry_run():
        service = f"service/{forward.API.name}"
        console.say(f"$ {process.line(target.argv('port-forward', service, 'PORT:8888'))}")
        yield Place(name, target, "http://localhost:PORT", ui)
    else:
        with forward.opened(target, forward.API) as address:
            yield Place(name, target, f"http://{address}", ui)
