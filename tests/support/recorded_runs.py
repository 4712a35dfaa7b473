"""Runs as Kubernetes has them, and what `make run` says of them.

The shapes are those that Argo Workflows 3.6 and Kubernetes 1.34 give.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from kfpkit.core import console, process
from kfpkit.kfp import api
from kfpkit.kfp.metadata import Home
from kfpkit.kfp.object_store import Objects
from kfpkit.kfp.run import Run, State, Task, task_of
from kfpkit.kfp.states import BAD
from kfpkit.kfp.target import Target
from kfpkit.kfp.workflow import Workflow
from kfpkit.kube.health import PART
from kfpkit.kube.health import RUN as LABEL
from kfpkit.runs import remote, results
from kfpkit.runs.place import Place

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RUN = "11111111-2222-3333-4444-555555555555"
WORKFLOW = "penguins-x7k2p"
EXECUTOR, DRIVER = "system-container-impl", "system-container-driver"

LAUNCHER = "I1124 12:00:01.000001      17 launcher_v2.go:193] publish success.\n"
FATAL = (
    "F1124 12:00:02.000001      17 main.go:57] failed to execute component: exit status 1\n"
    "goroutine 1 [running]:\ngithub.com/golang/glog.Fatalf(...)\n"
    'time="2026-11-24T12:00:02 UTC" level=info msg="sub-process exited"\n'
    "Error: exit status 1\n"
)
TRACEBACK = "Traceback (most recent call last):\n  File x\nValueError: too low\n"

Object = dict[str, Any]


def fatal(message: str) -> str:
    """Return how the log of a launcher or a driver ends that failed."""
    return f"F1124 12:00:02.000001      17 main.go:57] {message}\nError: exit status 1\n"


def node(number: int, step: str, phase: str, message: str = "", **more: Any) -> Object:
    """Return the node of a step's pod, or of its driver's."""
    driver = step.endswith("-driver")
    return {
        "id": f"{WORKFLOW}-{number}",
        "name": f"{WORKFLOW}.root.{step}" + ("" if driver else ".executor"),
        "type": "Pod",
        "templateName": DRIVER if driver else EXECUTOR,
        "phase": phase,
        "message": message,
        "startedAt": f"2026-11-24T12:00:{number:02}Z",
        "finishedAt": f"2026-11-24T12:01:{number:02}Z" if phase in BAD else None,
        **more,
    }


def workflow(*nodes: Object, phase: str = "Running", message: str = "", **spec: Any) -> Object:
    """Return the Workflow of some nodes."""
    driver = {"args": ["--type", "ROOT_DAG", "--pipeline_name", "penguins"]}
    return {
        "kind": "Workflow",
        "metadata": {"name": WORKFLOW, "labels": {LABEL: RUN}},
        "spec": {"templates": [{"container": driver}], **spec},
        "status": {"phase": phase, "message": message, "nodes": {n["id"]: n for n in nodes}},
    }


def pod(number: int, *, phase: str = "Pending", **container: Any) -> Object:
    """Return the pod of a node."""
    name = f"{WORKFLOW}-{EXECUTOR}-{number}"
    status = {"name": "main", "image": "i", "restartCount": 0, "state": {}, **container}
    limits = {"memory": "64Mi"}
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {LABEL: RUN},
            "annotations": {"workflows.argoproj.io/node-id": f"{WORKFLOW}-{number}"},
        },
        "spec": {"containers": [{"name": "main", "image": "i:1", "resources": {"limits": limits}}]},
        "status": {"phase": phase, "containerStatuses": [status]},
    }


class Recorded(Target):
    """A cluster with one run on it, all of whose pods and drivers have the same log.

    Attributes:
        objects: The run's.
        events: All.
        log: Of each pod, and in the object store.
        runners: The warm driver's pods.
    """

    objects: Sequence[Object]
    events: Sequence[Object]
    log: str
    runners: Sequence[Object]

    @property
    def namespace(self) -> str:
        """Said, where others render an overlay for it."""
        return "kubeflow"

    def items(self, kinds: Sequence[str], *selector: str) -> list[Object]:
        """Return the run's objects, or the events, or the pods of the warm driver."""
        if f"{PART}=warm-driver" in selector:
            return list(self.runners)
        if "events" in kinds:
            return list(self.events)
        return [each for each in self.objects if "pods" in kinds or each["kind"] == "Workflow"]

    def query(
        self, *arguments: str, check: bool = True, stdin: str | None = None
    ) -> process.Result:
        """Return the log of a pod."""
        del check, stdin
        assert arguments[0] == "logs"
        return process.Result(0, self.log, "")


def runner(*, ready: bool = True) -> Object:
    """Return a pod of the warm driver."""
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": "warm-driver-1"}, "status": {"conditions": conditions}}


def recorded(
    *objects: Object,
    events: Sequence[Object] = (),
    log: str = "",
    runners: Sequence[Object] = (runner(),),
) -> Recorded:
    """Return the cluster of a run."""
    made = Recorded("kind", "kind-kfp", "kubectl")
    made.__dict__.update(objects=objects, events=events, log=log, runners=runners)
    return made


def said_by_make_run(target: Recorded, folder: Path, *, over: bool) -> list[str]:
    """Return what `make run` says of a run at one look: its warnings, or why what failed did.

    Args:
        target: The cluster.
        folder: Takes what `make run` brings from there.
        over: Whether the run has failed by now.
    """
    (found,) = target.items(["workflows"]) or [{}]
    pods = [each for each in Workflow(found).nodes if each.row and each.role != "graph"]
    names = dict.fromkeys(task_of(each.row) for each in pods)
    run = Run(RUN, "penguins", "v", "kind", State.RUNNING, datetime.now(UTC))
    run.tasks = [Task(name, name) for name in names]
    state = SimpleNamespace(
        state="FAILED" if over else "RUNNING", created_at=run.created, finished_at=None, error=None
    )
    client = SimpleNamespace(get_run=lambda _: state, run_state=lambda _: state.state)
    warnings: list[str] = []
    progress: Any = SimpleNamespace(changed=lambda _: None)
    spec: Any = {"components": defaultdict(dict)}
    with (
        patch.object(api, "connect", lambda _: client),
        patch.object(console, "warn", warnings.append),
        patch.object(Objects, "read", lambda *_: target.log),
        patch.object(results, "recorded", lambda *_: ({}, Home())),
    ):
        follower = remote._Follower(Place("kind", target, "http://none", ""), run, spec, progress)
        assert follower._look() is over
        if not over:
            return warnings
        results.bring(target, run, spec, follower.seen, folder)
    return [row.error for row in run.failed] or [run.error]
