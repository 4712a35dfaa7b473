"""What is read out of a cluster's objects: their shapes are those of Kubernetes 1.34's answers."""

from __future__ import annotations

from typing import Any

from kfpkit.kube.health import workloads

Object = dict[str, Any]


def workload(kind: str = "Deployment", *, ready: int = 0, **status: Any) -> Object:
    return {
        "kind": kind,
        "metadata": {"name": "store", "generation": 2},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app.kubernetes.io/name": "store"}},
            "template": {"spec": {"containers": [{"image": "kfpkit/store:1"}]}},
        },
        "status": {
            "observedGeneration": 2,
            "replicas": 1,
            "updatedReplicas": 1,
            "readyReplicas": ready,
            **status,
        },
    }


def pod(*, state: Object | None = None, name: str = "store", **status: Any) -> Object:
    container = {"name": "main", "image": "kfpkit/store:1", "restartCount": 0, "ready": False}
    return {
        "kind": "Pod",
        "metadata": {"name": "store-0", "labels": {"app.kubernetes.io/name": name}},
        "status": {"containerStatuses": [{**container, "state": state or {}, **status}]},
    }


def test_a_complete_roll_out_is_done() -> None:
    (part,) = workloads([workload(ready=1), pod(state={"running": {}}, ready=True)])
    assert part.done
    assert (part.ready, part.wanted, part.restarts, part.state) == (1, 1, 0, "ready")
    assert part.images == ("kfpkit/store:1",)


def test_a_change_the_controller_has_not_seen_yet_is_not_done() -> None:
    (part,) = workloads([workload(ready=1, observedGeneration=1)])
    assert not part.done


def test_a_stateful_set_half_way_to_another_revision_is_not_done() -> None:
    half = workload("StatefulSet", ready=1, currentRevision="a", updateRevision="b")
    assert not workloads([half])[0].done


def test_an_old_pod_beside_the_new_one_is_not_done() -> None:
    assert not workloads([workload(ready=1, replicas=2)])[0].done


def test_an_image_that_cannot_be_pulled_is_one_trouble_however_it_is_called() -> None:
    reasons = set()
    for reason in ("ErrImagePull", "ImagePullBackOff"):
        waiting = {"waiting": {"reason": reason, "message": "not found"}}
        sickness = workloads([workload(), pod(state=waiting)])[0].sickness
        assert sickness is not None
        assert sickness.detail == "not found"
        reasons.add((sickness.object, sickness.reason, sickness.final))
    assert reasons == {("pod/store-0", "image pull", False)}


def test_a_crash_loop_names_the_container_and_the_log_to_read() -> None:
    sick = pod(
        state={"waiting": {"reason": "CrashLoopBackOff"}},
        lastState={"terminated": {"exitCode": 1, "reason": "Error"}},
        restartCount=3,
    )
    sickness = workloads([workload(), sick])[0].sickness
    assert sickness is not None
    assert (sickness.reason, sickness.container, sickness.previous) == ("crash loop", "main", True)
    assert "exit code 1" in sickness.detail
    assert "3 times" in sickness.detail


def test_a_pod_that_no_node_takes_says_why() -> None:
    sick = pod()
    sick["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient memory"}
    ]
    sickness = workloads([workload(), sick])[0].sickness
    assert sickness is not None
    assert (sickness.reason, sickness.detail) == ("unschedulable", "0/1 nodes: Insufficient memory")


def test_a_refusal_by_pod_security_is_found_without_a_pod_and_is_final() -> None:
    message = 'pods "store-" is forbidden: violates PodSecurity "restricted:latest"'
    condition = {"type": "ReplicaFailure", "status": "True", "message": message}
    sickness = workloads([workload(replicas=0, conditions=[condition])])[0].sickness
    assert sickness is not None
    assert sickness.final
    assert (sickness.object, sickness.reason) == ("deployment/store", "PodSecurity refusal")

    # An old pod still serves while the new one is refused.
    replaced = workload(ready=1, updatedReplicas=0, conditions=[condition])
    sickness = workloads([replaced, pod(state={"running": {}}, ready=True)])[0].sickness
    assert sickness is not None
    assert sickness.final

    event = {
        "kind": "Event",
        "reason": "FailedCreate",
        "message": message,
        "involvedObject": {"name": "store"},
    }
    sickness = workloads([workload("StatefulSet", replicas=0), event])[0].sickness
    assert sickness is not None
    assert (sickness.object, sickness.reason) == ("statefulset/store", "PodSecurity refusal")


def test_a_pod_of_another_part_or_on_its_way_out_does_not_count() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff"}}
    leaving = pod(state=waiting)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    (part,) = workloads([workload(), pod(state=waiting, name="other"), leaving])
    assert part.sickness is None


def test_a_ready_part_keeps_its_restarts() -> None:
    again = pod(state={"running": {}}, ready=True, restartCount=2)
    assert workloads([workload(ready=1), again])[0].restarts == 2
