"""What the objects of a cluster say about each workload: ready, on its way, or sick and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Label by which a component's pods are known.
PART = "app.kubernetes.io/name"

#: Label of everything that the base makes.
OWNED = "app.kubernetes.io/part-of=kubeflow-pipelines"

#: Label of all that belongs to a run of KFP, its Workflow and its pods; its value is the run's ID.
RUN = "pipeline/runid"

#: Label of a pod: whose Workflow it is of.
WORKFLOW = "workflows.argoproj.io/workflow"

#: Kinds that the controllers act on, by their full names: recurring runs, and what Argo runs.
SCHEDULED = "scheduledworkflows.kubeflow.org"
WORKFLOWS = "workflows.argoproj.io"

#: Where the API server has a namespace's Workflows.
WORKFLOWS_PATH = "/apis/argoproj.io/v1alpha1/namespaces/{}/workflows"

#: Reason of the event that says why a pod could not be made.
NO_POD = "FailedCreate"

_PULL = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"}
_NEVER = {"ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError"}


@dataclass(frozen=True)
class Sickness:
    """Why a workload does not become ready."""

    #: `pod/NAME`, or the workload where no pod could be made.
    object: str
    #: The kind of trouble, the same for as long as the trouble is the same.
    reason: str
    #: What Kubernetes says about it.
    detail: str
    #: The container whose log tells more, if one has run.
    container: str = ""
    #: Whether that container ran before and the log is of that time.
    previous: bool = False
    #: Whether waiting cannot help.
    final: bool = False


@dataclass(frozen=True)
class Workload:
    """A workload of the control plane and its pods."""

    name: str
    kind: str
    wanted: int
    #: Pods of the wanted version that are ready.
    ready: int
    #: Whether the roll-out is complete.
    done: bool
    restarts: int
    images: tuple[str, ...]
    #: What it is doing, for a person.
    state: str
    sickness: Sickness | None = None


def workloads(objects: Iterable[dict[str, Any]]) -> list[Workload]:
    """Return the workloads by name.

    Args:
        objects: Deployments, StatefulSets, Pods and Events, in any order.
    """
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for item in objects:
        by_kind.setdefault(item["kind"], []).append(item)
    workloads = by_kind.get("Deployment", []) + by_kind.get("StatefulSet", [])
    pods, events = by_kind.get("Pod", []), by_kind.get("Event", [])
    return sorted((_workload(w, pods, events) for w in workloads), key=lambda one: one.name)


def _workload(
    workload: dict[str, Any], pods: list[dict[str, Any]], events: list[dict[str, Any]]
) -> Workload:
    name, spec, status = workload["metadata"]["name"], workload["spec"], workload.get("status", {})
    selector = spec["selector"]["matchLabels"].items()
    mine = [
        pod
        for pod in pods
        if selector <= pod["metadata"].get("labels", {}).items()
        and "deletionTimestamp" not in pod["metadata"]
    ]
    wanted = spec.get("replicas", 1)
    ready = min(status.get("updatedReplicas", 0), status.get("readyReplicas", 0))
    done = (
        status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
        and ready == status.get("replicas", 0) == wanted
        and status.get("currentRevision") == status.get("updateRevision")
    )
    sickness = None
    if not done:
        sickness = next(filter(None, map(sick_pod, mine)), None)
        if sickness is None:
            sickness = _refused(workload, events if len(mine) < wanted else [])
    return Workload(
        name=name,
        kind=workload["kind"],
        wanted=wanted,
        ready=ready,
        done=done,
        restarts=sum(c["restartCount"] for pod in mine for c in statuses(pod)),
        images=tuple(c["image"] for c in spec["template"]["spec"]["containers"]),
        state="ready" if done else sickness.reason if sickness else _doing(mine),
        sickness=sickness,
    )


def statuses(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a pod says of its containers, the init containers first."""
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def sick_pod(pod: dict[str, Any]) -> Sickness | None:
    """Return why a pod does not become ready, as far as it says so itself."""
    where = f"pod/{pod['metadata']['name']}"
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Sickness(where, "unschedulable", condition.get("message", ""))
    for container in statuses(pod):
        name = container["name"]
        waiting = container.get("state", {}).get("waiting", {})
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in _PULL:
            return Sickness(where, "image pull", message or container["image"])
        if reason in _NEVER:
            return Sickness(where, reason, message, final=reason != "CreateContainerConfigError")
        ended = container.get("lastState", {}).get("terminated", {})
        now_ended = container.get("state", {}).get("terminated", {})
        if container["restartCount"] and not container.get("ready") and ended:
            detail = f"{name} ended with exit code {ended.get('exitCode')} ({ended.get('reason')})"
            detail += f", restarted {container['restartCount']} times"
            return Sickness(where, "crash loop", detail, name, previous=not now_ended)
        if now_ended.get("exitCode"):
            detail = f"{name} ended with exit code {now_ended['exitCode']}"
            return Sickness(where, "crash loop", detail, name)
    return None


def _refused(workload: dict[str, Any], events: list[dict[str, Any]]) -> Sickness | None:
    """Return why no pod could be made: a Deployment says it itself, a StatefulSet in an event."""
    name = workload["metadata"]["name"]
    messages = [
        c.get("message", "")
        for c in workload.get("status", {}).get("conditions", [])
        if c["type"] == "ReplicaFailure" and c["status"] == "True"
    ]
    if workload["kind"] == "StatefulSet":
        messages += [
            e.get("message", "")
            for e in events
            if e.get("reason") == NO_POD and e["involvedObject"].get("name") == name
        ]
    if not messages:
        return None
    message = messages[-1]
    where = f"{workload['kind'].lower()}/{name}"
    if "violates PodSecurity" in message:
        return Sickness(where, "PodSecurity refusal", message, final=True)
    return Sickness(where, "pod not created", message)


def _doing(pods: list[dict[str, Any]]) -> str:
    """Return what the pods of a workload that is not ready are at."""
    if not pods:
        return "no pod yet"
    status = pods[0].get("status", {})
    for container in status.get("initContainerStatuses", []):
        if not container.get("ready"):
            return str(container["name"]).replace("-", " ", 2)
    reasons = [
        c["state"]["waiting"].get("reason", "waiting")
        for c in status.get("containerStatuses", [])
        if "waiting" in c.get("state", {})
    ]
    return reasons[0] if reasons else "starting"
