"""A run's objects and the sentence that comes out of them: the shapes are those that Argo Workflows
3.6 and Kubernetes 1.34 give."""

from __future__ import annotations

import base64
import gzip
import json
import shlex
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from kfpkit.cli.install import api
from kfpkit.kfp.states import BAD
from kfpkit.kfp.workflow import Workflow
from kfpkit.runs.explain import Explanation, explain, gather, select
from kfpkit.runs.facts import Facts
from tests.support.recorded_runs import (
    DRIVER,
    EXECUTOR,
    RUN,
    WORKFLOW,
    node,
    pod,
    recorded,
    runner,
    said_by_make_run,
    workflow,
)

#: With driver pods, and as with the warm driver.
pytestmark = pytest.mark.usefixtures("either_driver")

Object = dict[str, Any]

#: One for all: each renders its overlay once.
TARGET = recorded()


def told(*nodes: Object, log: str = "", **facts: Any) -> Explanation:
    """Return what `make explain` says of a run; `make run` has the same words."""
    found = Facts(RUN, Workflow(workflow(*nodes)), log=lambda _: log, **facts)
    explained = explain(found, TARGET)
    failed = any(each["phase"] in BAD for each in nodes)
    if explained.reason and (failed or any(each.waits for each in found.workflow.nodes)):
        whole = workflow(*nodes, phase="Failed" if failed else "Running")
        target = recorded(whole, *found.pods, events=found.events, log=log)
        with TemporaryDirectory() as folder:
            said = said_by_make_run(target, Path(folder), over=failed)
        assert any(text.endswith(explained.sentence) for text in said), said
    return explained


def test_an_image_that_cannot_be_pulled() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'pull of "i:1" failed'}}
    found = told(node(1, "train", "Pending"), pods=[pod(1, state=waiting)])
    assert found.reason == "image"
    assert found.sentence == "the step train cannot start: the node cannot get its image i:1"
    assert found.commands == (
        "kubectl --context kind-kfp --namespace kubeflow describe pod "
        f"{WORKFLOW}-system-container-impl-1",
    )


def test_a_step_that_used_too_much_memory() -> None:
    ended = {"terminated": {"exitCode": 1, "reason": "OOMKilled"}}
    failed = node(1, "train", "Failed", "Error (exit code 1)")
    found = told(failed, pods=[pod(1, phase="Failed", state=ended)])
    assert found.reason == "out-of-memory"
    assert "more memory than its limit of 64Mi" in found.sentence
    log = "F1124 12:00:00.1 19 main.go:60] failed to execute component: signal: killed"
    assert told(failed, log=log, pods=[pod(1, phase="Failed", state=ended)]).reason == found.reason
    assert told(node(1, "train", "Failed", "OOMKilled (exit code 137)")).reason == "out-of-memory"


@pytest.mark.parametrize("message", ["Error (exit code 137)", "main: Error (exit code 137)"])
def test_a_step_that_was_killed_is_told_so_with_its_last_words(message: str) -> None:
    killed = node(1, "train", "Failed", message)
    ended = {"terminated": {"exitCode": 137, "reason": "Error"}}
    for pods in ([], [pod(1, phase="Failed", state=ended)]):
        found = told(killed, log="epoch 1 of 3\n", pods=pods)
        assert found.reason == "killed"
        assert found.sentence.startswith("the step train was killed (SIGKILL)")
        assert ".set_retry(" in found.sentence
        assert ".set_memory_limit(" in found.sentence
        assert found.evidence[1] == f"{message}; its last words: epoch 1 of 3"
    assert told(killed).evidence[1] == message


def test_a_program_of_a_step_that_was_killed_is_told_so() -> None:
    log = (
        "epoch 1 of 3\nKilled\n"
        "F1124 12:00:00.1 19 main.go:60] failed to execute component: exit status 137\n"
        "Error: exit status 1"
    )
    found = told(node(1, "train", "Failed", "Error (exit code 1)"), log=log)
    assert found.reason == "killed"
    assert "exit status 137; its last words: Killed" in found.evidence[1]
    # The kernel, for want of memory, or anybody.
    log = (
        "epoch 1 of 3\nF1124 12:00:00.1 19 main.go:60] failed to execute component: signal: killed"
    )
    found = told(node(1, "train", "Failed", "Error (exit code 1)"), log=log)
    assert found.reason == "killed"
    assert "signal: killed; its last words: epoch 1 of 3" in found.evidence[1]
    # What the step itself says of a program that it has called is its own affair.
    said = "worker: exit status 137\nF1124 12:00:00.1 19 main.go:60] exit status 1"
    found = told(node(1, "train", "Failed", "Error (exit code 1)"), log=said)
    assert found.reason == "step"


def test_a_container_that_was_killed_for_its_memory_used_too_much() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    failed = node(1, "train", "Failed", "Error (exit code 137)")
    assert told(failed, pods=[pod(1, phase="Failed", state=ended)]).reason == "out-of-memory"


def test_a_driver_that_was_killed_is_told_so_without_what_reaches_steps_alone() -> None:
    found = told(node(1, "train-driver", "Failed", "Error (exit code 137)"))
    assert found.reason == "killed"
    assert found.sentence.startswith("the driver of train was killed")
    assert "retry the run" in found.sentence
    assert "set_retry" not in found.sentence


@pytest.mark.parametrize(
    ("step", "who"), [("train", "the step train"), ("train-driver", "the driver of train")]
)
@pytest.mark.parametrize(
    ("phase", "message"), [("Error", "pod deleted"), ("Failed", "Error (exit code 143)")]
)
def test_a_pod_that_was_deleted(step: str, who: str, phase: str, message: str) -> None:
    found = told(node(1, step, phase, message), log="epoch 1 of 3\n")
    assert found.reason == "pod-deleted"
    assert found.sentence.startswith(f"{who} failed: its pod was deleted")
    assert message in found.evidence


def test_a_quota_that_is_used_up() -> None:
    message = 'pods "x" is forbidden: exceeded quota: small, requested: limits.memory=1Gi'
    found = told(node(1, "train", "Pending", message))
    assert found.reason == "quota"
    assert message in found.evidence
    assert found.commands[0].endswith("describe resourcequota")


def test_a_pod_that_no_node_takes() -> None:
    waiting = pod(1)
    said = "0/1 nodes are available: 1 Insufficient memory."
    waiting["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "message": said, "reason": "Unschedulable"}
    ]
    found = told(node(1, "train", "Pending"), pods=[waiting])
    assert (found.reason, found.sentence) == (
        "unschedulable",
        "the step train waits: no node takes its pod",
    )
    assert any(said in line for line in found.evidence)


def test_a_pod_that_the_namespace_does_not_admit() -> None:
    message = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot'
    found = told(node(1, "train", "Error", message))
    assert found.reason == "pod-security"
    assert found.commands[0].endswith("--show-labels")


@pytest.mark.parametrize(
    ("message", "lacking"),
    [
        ('secret "gone" not found', "the secret gone"),
        ('configmap "gone" not found', "the configmap gone"),
        ("couldn't find key k in Secret kubeflow/s", "the key k of the Secret kubeflow/s"),
    ],
)
def test_a_secret_or_configmap_that_is_not_there(message: str, lacking: str) -> None:
    waiting = {"waiting": {"reason": "CreateContainerConfigError", "message": message}}
    found = told(node(1, "train", "Pending"), pods=[pod(1, state=waiting)])
    assert found.reason == "missing-object"
    assert lacking in found.sentence


def test_a_secret_of_a_volume_is_found_in_the_events() -> None:
    event = {
        "type": "Warning",
        "reason": "FailedMount",
        "message": 'MountVolume.SetUp failed for volume "v" : secret "gone" not found',
        "involvedObject": {"name": f"{WORKFLOW}-{EXECUTOR}-1"},
    }
    creating = {"waiting": {"reason": "ContainerCreating"}}
    # An event need not say of what it is.
    events = [event, {"type": "Warning", "involvedObject": {}}]
    found = told(node(1, "train", "Pending"), pods=[pod(1, state=creating)], events=events)
    assert found.reason == "missing-object"
    assert "the secret gone" in found.sentence


def test_a_workflow_that_is_too_large() -> None:
    message = "workflow is longer than maximum allowed size. compressed size 1500000 > 1048576"
    facts = Facts(RUN, Workflow(workflow(phase="Error", message=message)))
    assert explain(facts, TARGET).reason == "workflow-too-large"


def test_an_input_that_the_cache_still_points_at() -> None:
    decided = {"parameters": [{"name": "cached-decision", "value": "true"}]}
    nodes = (
        node(1, "generate-data-driver", "Succeeded", outputs=decided),
        node(2, "train", "Failed", "Error (exit code 1)"),
    )
    path = "/minio/mlpipeline/v2/artifacts/penguins/another-run/generate-data/1/train"
    for log in (
        'F1124 12:00:00.000 9 main.go:60] failed to download input artifact "data" from remote '
        f'storage URI "minio:/{path.removeprefix("/minio")}": (code=NotFound): NoSuchKey: gone',
        f"cat: {path}: No such file or directory",
        f"FileNotFoundError: [Errno 2] No such file or directory: '{path}'\nexit status 1",
    ):
        found = told(*nodes, log=log)
        assert found.reason == "cached-artifact"
        assert "generate-data came from the cache" in found.sentence
        command = shlex.split(found.commands[1])[-1]
        assert "DELETE FROM mlpipeline.tasks WHERE PipelineName='pipeline/penguins'" in command


def test_a_launcher_that_failed_is_not_the_step() -> None:
    log = (
        "all done\nF1124 13:32:16.39      19 main.go:53] failed to execute component: no route to "
        'bucket "elsewhere"\nError: exit status 1'
    )
    found = told(node(2, "train", "Failed", "Error (exit code 1)"), log=log)
    assert found.reason == "launcher"
    assert found.sentence.startswith("the launcher of train failed: failed to execute")


def test_an_output_that_a_step_could_not_write_is_its_own_fault() -> None:
    path = f"/minio/mlpipeline/v2/artifacts/penguins/{RUN}/train/1/model"
    failed = node(2, "train", "Failed", "Error (exit code 1)")
    assert told(failed, log=f"sh: {path}: No such file or directory").reason == "step"


def test_a_driver_that_failed_says_its_last_error() -> None:
    log = "I1124 12:00:00.1 9 driver.go:1] begins\nF1124 12:00:01.1 9 main.go:79] KFP: no route"
    found = told(node(1, "train-driver", "Failed", "Error (exit code 1)"), log=log)
    assert found.reason == "driver"
    assert found.sentence == "the driver of train failed: KFP: no route"


@pytest.mark.parametrize(
    "error",
    [
        "KFP driver: driver.Container(x=1) failed: cannot resolve inputs",
        "F1124 12:00:01.1 9 main.go:79] KFP driver: driver.Container(x=1) failed: cannot resolve "
        "inputs",
    ],
)
def test_a_driver_without_a_pod_and_without_a_log_has_its_error_in_its_message(error: str) -> None:
    found = told(node(1, "train-driver", "Failed", f"driver: {error}", type="Suspend"))
    assert found.reason == "driver"
    assert found.sentence == "the driver of train failed: KFP driver: cannot resolve inputs"
    assert found.commands == (
        "kubectl --context kind-kfp --namespace kubeflow logs deployment/warm-driver --tail=50",
    )
    lost = told(node(1, "train-driver", "Failed", "driver: code = Unavailable", type="Suspend"))
    assert lost.reason == "unreachable"


def test_a_driver_without_a_pod_that_is_at_work_is_no_trouble() -> None:
    target = recorded(workflow(node(1, "train-driver", "Running", type="Suspend")))
    for runners, reason in (([runner(ready=False), runner()], ""), ([], "warm-driver-away")):
        target.__dict__["runners"] = runners
        assert explain(gather(target, RUN), target).reason == reason
    waiting = {"reason": "ImagePullBackOff", "message": "pull of i failed"}
    sick = {"name": "main", "restartCount": 0, "image": "i", "state": {"waiting": waiting}}
    pulling = runner(ready=False)
    pulling["status"]["containerStatuses"] = [sick]
    target.__dict__["runners"] = [pulling]
    assert explain(gather(target, RUN), target).sentence.endswith(
        "away; it goes on as soon as that is back: pod/warm-driver-1: image pull"
    )


def test_a_driver_that_did_not_reach_the_api() -> None:
    log = (
        'F1124 12:32:44.96      17 main.go:104] KFP driver: driver.Container(taskName="write", '
        "componentSpec) failed: failed to list tasks: rpc error: code = Unavailable desc = refused"
    )
    found = told(node(1, "write-driver", "Failed", "Error (exit code 1)"), log=log)
    assert found.reason == "unreachable"
    assert found.commands[0] == "make doctor"
    assert found.evidence[1].startswith("KFP driver: failed to list tasks")
    # What a step prints is no sign by itself.
    said = told(node(1, "write", "Failed", "Error (exit code 1)"), log="connection refused by me")
    assert said.reason == "step"


def test_a_step_that_failed_says_its_own_last_line() -> None:
    log = (
        "Traceback (most recent call last):\n"
        "ValueError: the accuracy 0.5 is below 0.9\n"
        "F1124 12:00:01.1 19 main.go:60] failed to execute component: exit status 1\n"
        'time="2026-11-24T12:00:00Z" level=info msg="sub-process exited" argo=true\n'
        "exit status 1\n"
    )
    found = told(node(1, "check", "Failed", "Error (exit code 1)"), log=log)
    assert found.reason == "step"
    assert found.sentence == (
        "the step check failed by itself: ValueError: the accuracy 0.5 is below 0.9"
    )


def test_what_a_pod_has_waited_for_is_no_evidence_of_its_end() -> None:
    said = "0/1 nodes are available: 1 Insufficient cpu."
    name = f"{WORKFLOW}-{EXECUTOR}-1"
    event = {**warned("FailedScheduling", said, None), "involvedObject": {"name": name}}
    ended = node(1, "train", "Failed", "Error (exit code 1)")
    assert said not in " ".join(told(ended, events=[event]).evidence)
    waits = node(1, "train", "Pending", f"Unschedulable: {said}")
    assert f"event FailedScheduling: {said}" in told(waits, events=[event]).evidence


def test_the_first_failure_is_the_cause() -> None:
    found = told(
        node(7, "late", "Failed", "Error (exit code 1)"),
        node(2, "early", "Failed", "Error (exit code 1)"),
        node(1, "waiting", "Pending"),
    )
    assert "early" in found.sentence


def test_an_attempt_that_was_repeated_with_success_is_forgiven() -> None:
    attempt = node(1, "train", "Failed", "Error (exit code 1)")
    again = {
        "id": "r",
        "name": f"{WORKFLOW}.root.train.executor",
        "type": "Retry",
        "phase": "Succeeded",
        "children": [attempt["id"], f"{WORKFLOW}-2"],
    }
    found = told(again, attempt, node(2, "train", "Succeeded"), node(3, "evaluate", "Running"))
    assert found.reason == ""
    assert found.sentence == "the run goes on, at evaluate; no trouble to see"


def attempts(phase: str, *children: Object, **more: Any) -> Object:
    """Return the node of a step that is tried again."""
    return {
        "id": "r",
        "name": f"{WORKFLOW}.root.train.executor",
        "type": "Retry",
        "templateName": EXECUTOR,
        "phase": phase,
        "children": [child["id"] for child in children],
        **more,
    }


def attempt(number: int, phase: str = "Failed") -> Object:
    name = f"{WORKFLOW}.root.train.executor({number - 1})"
    return {**node(number, "train", phase, "Error (exit code 1)"), "name": name}


def test_of_a_step_that_was_tried_again_the_last_attempt_tells() -> None:
    tries = [attempt(1), attempt(2), attempt(3)]
    retried = attempts("Failed", *tries, message="No more retries left")
    logs = {f"{WORKFLOW}-{n}": f"ValueError: attempt {n}" for n in (1, 2, 3)}
    facts = Facts(RUN, Workflow(workflow(retried, *tries)), log=lambda node: logs[node.id])
    found = explain(facts, TARGET)
    assert found.sentence == "the step train failed by itself: ValueError: attempt 3"
    assert found.evidence[0] == f"pod {WORKFLOW}-{EXECUTOR}-3"
    # One that is still at work has nothing to tell, whatever came before.
    assert told(attempts("Running", *tries[:2]), *tries[:2], attempt(3, "Running")).reason == ""


def test_of_a_group_that_was_tried_again_the_last_attempt_tells() -> None:
    groups = [{**attempt(n), "type": "DAG", "message": ""} for n in (1, 2)]
    steps = [
        {**node(n + 2, "inner", "Failed", "x"), "name": f"{group['name']}.inner.executor"}
        for n, group in enumerate(groups, 1)
    ]
    found = told(attempts("Failed", *groups), *groups, *steps)
    assert found.evidence[0] == f"pod {WORKFLOW}-{EXECUTOR}-4"


FORBIDDEN = (
    'configmaps is forbidden: User "system:serviceaccount:kubeflow:workflow-controller" cannot '
    'create resource "configmaps" in API group "" in the namespace "kubeflow"'
)


@pytest.mark.parametrize("packed", [False, True])
def test_a_step_that_argo_may_not_begin(packed: bool) -> None:
    refused = workflow(node(1, "train", "Error", FORBIDDEN), phase="Failed")
    if packed:
        nodes = json.dumps(refused["status"].pop("nodes")).encode()
        refused["status"]["compressedNodes"] = base64.b64encode(gzip.compress(nodes)).decode()
    found = explain(Facts(RUN, Workflow(refused)), TARGET)
    assert found.reason == "forbidden"
    assert found.sentence == (
        "the step train failed: Kubernetes forbids it: workflow-controller cannot create resource "
        '"configmaps"'
    )
    assert found.evidence == (f"Workflow {WORKFLOW}", FORBIDDEN)
    assert found.commands[0].startswith("make install")


@pytest.mark.parametrize(
    ("kind", "more"), [("Pod", {}), ("Skipped", {}), ("DAG", {}), ("Retry", {"children": []})]
)
def test_a_node_that_failed_before_it_had_a_pod_says_why(kind: str, more: Object) -> None:
    message = "failed to resolve {{tasks.load.outputs.parameters.x}}"
    lost = {**node(1, "train", "Error", message), "type": kind, **more}
    # What is around it failed with it, and has nothing to say of its own.
    around = {"id": WORKFLOW, "name": WORKFLOW, "type": "DAG", "phase": "Error", "message": "bad"}
    root = {**around, "id": "root", "name": f"{WORKFLOW}.root", "message": "child failed"}
    found = told(around, root, lost, log="never asked" if kind != "Pod" else "")
    assert found.reason == "not-begun"
    assert found.sentence == f"Argo could not begin the step train: {message}"
    assert found.commands == (
        "kubectl --context kind-kfp --namespace kubeflow logs deployment/workflow-controller "
        "--tail=50",
    )


def test_a_pod_that_has_gone_had_been_begun() -> None:
    gone = node(1, "train", "Error", "failed to save outputs", hostNodeName="kfp-control-plane")
    assert told(gone).reason == "step"
    assert told(gone).evidence[0] == f"pod {WORKFLOW}-{EXECUTOR}-1"


def test_no_command_names_a_pod_that_was_never_made() -> None:
    found = told(node(1, "train", "Error", 'serviceaccount "gone" not found'))
    assert found.reason == "missing-object"
    assert found.commands[-1].endswith(f"describe workflow {WORKFLOW}")


def warned(reason: str, message: str, time: str | None, kind: str = "Workflow") -> Object:
    return {
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": time,
        "involvedObject": {"kind": kind, "name": WORKFLOW if kind == "Workflow" else "other"},
    }


def test_where_no_node_says_why_the_newest_event_of_the_workflow_does() -> None:
    label = {"labels": {"pipeline/runid": RUN}}
    failed = workflow(phase="Failed")
    failed["metadata"] |= label
    events = [
        warned("WorkflowNodeError", "Error node x.root.b: the newest", "2026-11-24T12:00:09Z"),
        warned("WorkflowNodeError", "Error node x.root.a: before", "2026-11-24T12:00:02Z"),
        warned("WorkflowNodeError", "Error node x.root", "2026-11-24T12:00:10Z"),
        warned("WorkflowFailed", "", "2026-11-24T12:00:10Z"),
        warned("Failed", "of a pod", "2026-11-24T12:00:11Z", kind="Pod"),
        {**warned("WorkflowRunning", "on", "2026-11-24T12:00:12Z"), "type": "Normal"},
        {**warned("Other", "other's", "9"), "involvedObject": {"kind": "Workflow", "name": "y"}},
        {"type": "Warning", "message": "of nothing", "involvedObject": {}},
    ]
    found = explain(select(TARGET, RUN, [failed], events), TARGET)
    assert found.sentence == "the run failed: Error node x.root.b: the newest"
    assert found.evidence == (
        f"Workflow {WORKFLOW}",
        "Error node x.root.b: the newest",
        "event WorkflowNodeError: Error node x.root.a: before",
        "event WorkflowNodeError: Error node x.root.b: the newest",
    )
    failed["status"]["message"] = "its own"
    assert explain(select(TARGET, RUN, [failed], events), TARGET).sentence.endswith("its own")
    del failed["status"]["message"]
    assert explain(select(TARGET, RUN, [failed], []), TARGET).sentence.endswith("says why")


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("exit status 3", "failed by itself (exit code 3): bye"),
        ("exit status 1", "failed by itself: bye"),
        ("signal: segmentation fault (core dumped)", "(signal: segmentation fault): bye"),
        ("signal: aborted", "failed by itself (signal: aborted): bye"),
    ],
)
def test_how_a_step_ended_is_said_beside_its_last_words(end: str, words: str) -> None:
    log = f"bye\nF1124 12:00:00.1 19 main.go:60] failed to execute component: {end}\n"
    found = told(node(1, "check", "Failed", "Error (exit code 1)"), log=log)
    assert found.reason == "step"
    assert found.sentence.endswith(words)


def test_the_exit_code_of_a_container_without_a_launcher_is_said() -> None:
    failed = node(1, "check", "Failed", "main: Error (exit code 3)")
    assert told(failed, log="bye").sentence == "the step check failed by itself (exit code 3): bye"
    assert "exit code 3" in told(failed).sentence


def launcher(error: str, before: str = "") -> Explanation:
    """Return what is said of a step whose launcher ended with an error."""
    log = f"{before}bye\nF1124 12:00:00.1 19 main.go:60] failed to execute component: {error}\n"
    return told(node(1, "check", "Failed", "Error (exit code 1)"), log=log)


@pytest.mark.parametrize(
    ("output", "told_so"),
    [
        (
            '{"artifacts": {"metrics": {"artifacts": [{"metadata": {"a": 1, "accuracy": NaN}}]}}}',
            "metrics.accuracy is NaN, which",
        ),
        ('{"parameterValues": {"Output": [1.0, -Infinity]}}', "Output is -Infinity, which"),
        (
            '{"artifacts": {"roc": {"artifacts": [{"metadata": {"confidenceMetrics": '
            '[{"confidenceThreshold": Infinity}]}}]}}}',
            "roc.confidenceMetrics.confidenceThreshold is Infinity, which",
        ),
        ('{"cut": ', "a metric or an output is NaN or infinite"),
    ],
)
def test_a_number_that_kfp_cannot_store_is_named(output: str, told_so: str) -> None:
    found = launcher(
        "failed to unmarshall ExecutorOutput in file "
        '"/tmp/kfp_outputs/output_metadata.json": proto:\u00a0syntax error (line 1:98): invalid '
        "value NaN",
        f"I1124 12:00:00.0 19 launcher_v2.go:877] ExecutorOutput: {output}\n",
    )
    assert found.reason == "not-finite"
    assert told_so in found.sentence


@pytest.mark.parametrize(
    "words",
    [
        "proto: google.protobuf.Value.number_value: invalid NaN value",
        "proto: google.protobuf.Value.number_value: invalid +Inf value",
        "json: unsupported value: NaN",
        "proto: syntax error (line 1:37): invalid value -Infinity",
        "SerializeToJsonError: Fail to serialize Infinity for Value.number_value",
    ],
)
@pytest.mark.parametrize("step", ["check", "check-driver"])
def test_the_words_of_each_library_for_such_a_number_are_known(step: str, words: str) -> None:
    log = f"F1124 12:00:00.1 19 main.go:79] KFP: {words}\n"
    found = told(node(1, step, "Failed", "Error (exit code 1)"), log=log)
    assert found.reason == "not-finite"


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (
            "failed to publish results to ML Metadata: rpc error: code = ResourceExhausted desc = "
            "grpc: received message larger than max (5242880 vs. 4194304)",
            "message-too-large",
            "(5,242,880 bytes of 4,194,304)",
        ),
        (
            "failed to publish results to ML Metadata: rpc error: code = ResourceExhausted desc = "
            "Received message larger than max (5242880 vs. 4194304)",
            "message-too-large",
            "log fewer points",
        ),
        (
            "fork/exec /usr/bin/sh: argument list too long",
            "argument-too-long",
            "longer than 128 KiB",
        ),
        (
            'failed to read output parameter name="n" type="NUMBER_INTEGER" '
            'path="/tmp/kfp/outputs/n": TextToPbValue(text="connection refused", '
            'type="NUMBER_INTEGER") failed: strconv.ParseInt: parsing "x": invalid syntax',
            "wrong-type",
            'its output n is to be an integer, and it wrote "connection refused"',
        ),
        (
            'failed to read output parameter name="n" type="STRING" path="/tmp/kfp/outputs/n": '
            "open /tmp/kfp/outputs/n: no such file or directory",
            "no-output",
            "wrote nothing into its output n",
        ),
        (
            'failed to read output parameter name="n" type="STRING" path="/tmp/kfp/outputs/n": '
            "open /tmp/kfp/outputs/n: permission denied",
            "launcher",
            "permission denied",
        ),
        (
            'failed to open bucket for output artifact "a" with uri "minio://elsewhere/a": open '
            'blob.Bucket: no driver registered for "minio"',
            "foreign-store",
            "no credentials",
        ),
        (
            'failed to get secret: secrets "x" is forbidden: User '
            '"system:serviceaccount:kubeflow:pipeline-runner" cannot get resource "secrets" in API '
            'group "" in the namespace "kubeflow"',
            "forbidden",
            'pipeline-runner cannot get resource "secrets"',
        ),
    ],
)
def test_an_error_of_the_launcher_is_put_into_words(error: str, reason: str, words: str) -> None:
    found = launcher(error)
    assert found.reason == reason
    assert words in found.sentence
    assert any(error[:40] in line for line in found.evidence)


@pytest.mark.parametrize("words", ["argument list too long", "invalid value NaN"])
def test_what_a_step_prints_is_its_own(words: str) -> None:
    log = f"{words}\nF1124 12:00:00.1 19 main.go:60] failed to execute component: exit status 1"
    assert told(node(1, "check", "Failed", "Error (exit code 1)"), log=log).reason == "step"


def test_an_input_of_another_type_is_named() -> None:
    log = (
        "F1124 12:00:00.1 19 main.go:79] KFP driver: driver.Container(x) failed: resolving input: "
        'input parameter "i" type mismatch: expect NUMBER_INTEGER, got string'
    )
    found = told(node(1, "check-driver", "Failed", "Error (exit code 1)"), log=log)
    assert found.reason == "wrong-type"
    assert "the driver of check failed: its input i is to be an integer, and is a string" in (
        found.sentence
    )


@pytest.mark.parametrize(
    ("message", "log"),
    [
        (
            "StartError (exit code 128): failed to create containerd task: OCI runtime create "
            "failed: exec /var/run/argo/argoexec: argument list too long",
            "",
        ),
        ("Error (exit code 1)", "exec /var/run/argo/argoexec: argument list too long"),
        (
            "Error (exit code 64)",
            "Error: failed to start command: fork/exec /kfp-launcher/launch: argument list too "
            "long",
        ),
    ],
)
def test_a_value_that_is_too_long_for_a_program(message: str, log: str) -> None:
    assert told(node(1, "check", "Failed", message), log=log).reason == "argument-too-long"


def test_a_step_that_is_given_too_much_to_be_stored() -> None:
    message = 'ConfigMap "x" is invalid: []: Too long: may not be more than 1048576 bytes'
    found = told(node(1, "check", "Error", message))
    assert found.reason == "too-large"
    assert found.sentence.startswith("the step check gets no pod")
    assert "as an artifact" in found.sentence


MISSING = "FileNotFoundError: [Errno 2] No such file or directory: '{}'"


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/minio/mlpipeline/t/none.txt", "minio://mlpipeline/t/none.txt"),
        ("/minio/mlpipeline/t/the file.txt", "minio://mlpipeline/t/the file.txt"),
        ("/gcs/bucket/ü.txt", "gs://bucket/ü.txt"),
        ("/s3/bucket/t/none.txt", "s3://bucket/t/none.txt"),
    ],
)
def test_an_import_of_nothing_is_named_and_the_cache_is_left_alone(path: str, address: str) -> None:
    importer = node(1, "importer", "Succeeded", templateName="system-importer")
    importer["name"] = f"{WORKFLOW}.root.importer"
    decided = {"parameters": [{"name": "cached-decision", "value": "true"}]}
    cached = node(3, "other-driver", "Succeeded", outputs=decided)
    failed = node(2, "read", "Failed", "Error (exit code 1)")
    found = told(importer, cached, failed, log=MISSING.format(path))
    assert found.reason == "missing-import"
    assert f"nothing is at {address}, which the step importer imports" in found.sentence
    assert "DELETE" not in " ".join(found.commands)


def test_an_artifact_that_its_step_did_not_write_is_not_of_the_cache() -> None:
    decided = {"parameters": [{"name": "cached-decision", "value": "true"}]}
    cached = node(1, "load-driver", "Succeeded", outputs=decided)
    failed = node(2, "read", "Failed", "Error (exit code 1)")
    importer = node(3, "importer", "Succeeded", templateName="system-importer")
    path = f"/minio/mlpipeline/v2/artifacts/penguins/{RUN}/load/1/data"
    found = told(cached, importer, failed, log=MISSING.format(path))
    assert found.reason == "deleted-artifact"
    assert "the step that made it wrote no file" in found.sentence
    assert "DELETE" not in " ".join(found.commands)
    # Of another run, but of a step that was not taken from the cache.
    path = "/minio/mlpipeline/v2/artifacts/penguins/another-run/other/1/data"
    found = told(cached, failed, log=MISSING.format(path))
    assert "cache" not in found.sentence
    assert "DELETE" not in " ".join(found.commands)


ROUND = "root.for-loop-1.iteration-iterations({0}:{0}).iteration-item"


@pytest.mark.parametrize(
    ("name", "template", "who"),
    [
        (f"{ROUND.format(2)}.work.executor", EXECUTOR, "the step for-loop-1[2]/work"),
        (f"{ROUND.format(2)}.work-driver", DRIVER, "the driver of for-loop-1[2]/work"),
        (
            f"{ROUND.format(0)}.{ROUND.format(3).removeprefix('root.').replace('1.', '2.')}"
            ".work.executor(1)",
            EXECUTOR,
            "the step for-loop-1[0]/for-loop-2[3]/work",
        ),
        ("root.exit-handler-1.work.executor", EXECUTOR, "the step exit-handler-1/work"),
        ("root.x-driver.executor", EXECUTOR, "the step x-driver"),
        ("root.inner.work.executor", EXECUTOR, "the step inner/work"),
        ("root-driver", "system-dag-driver", "the driver of the run itself"),
    ],
)
def test_a_step_is_named_with_its_round(name: str, template: str, who: str) -> None:
    failed = node(1, "work", "Failed", "OOMKilled (exit code 137)", templateName=template)
    failed["name"] = f"{WORKFLOW}.{name}"
    assert told(failed).sentence.startswith(f"{who} was ended")


def test_an_input_of_a_round_that_the_cache_still_points_at() -> None:
    decided = {"parameters": [{"name": "cached-decision", "value": "true"}]}
    cached = node(1, "load-driver", "Succeeded", outputs=decided)
    cached["name"] = f"{WORKFLOW}.{ROUND.format(1)}.load-driver"
    failed = node(2, "read", "Failed", "Error (exit code 1)")
    path = "/minio/mlpipeline/v2/artifacts/penguins/another-run/load/1/data"
    found = told(cached, failed, log=MISSING.format(path))
    assert "for-loop-1[1]/load came from the cache" in found.sentence


def test_a_workflow_that_nobody_took_up() -> None:
    fresh = {"kind": "Workflow", "metadata": {"name": WORKFLOW}, "spec": {}}
    found = explain(Facts(RUN, Workflow(fresh)), TARGET)
    assert found.reason == "not-taken-up"
    assert "logs deployment/workflow-controller" in found.commands[0]


def test_a_run_whose_workflow_is_gone_before_its_end_is_lost() -> None:
    found = explain(Facts(RUN, record={"state": "RUNNING"}), TARGET)
    assert found.reason == "lost"
    port = signature(api).parameters["port"].default
    opens, delete = found.commands[1:]
    assert opens.startswith("make api")
    assert delete == f".venv/bin/kfp --endpoint http://localhost:{port} run delete {RUN}"
    ended = explain(Facts(RUN, record={"state": "FAILED", "error": {"message": "why"}}), TARGET)
    assert (ended.reason, ended.evidence) == ("", ("why",))


@pytest.mark.parametrize("mark", [{"activeDeadlineSeconds": 0}, {"shutdown": "Terminate"}])
@pytest.mark.parametrize(("phase", "more"), [("Failed", ""), ("Running", "have not ended yet")])
def test_a_run_that_somebody_terminated_is_told_so(phase: str, more: str, mark: Object) -> None:
    ended = workflow(node(1, "train", "Failed", "exit code 143"), phase=phase)
    ended["spec"] |= mark
    found = explain(Facts("run", Workflow(ended)), TARGET)
    assert (found.reason, found.state) == ("terminated", phase)
    assert found.sentence.startswith("somebody terminated the run")
    assert more in found.sentence
