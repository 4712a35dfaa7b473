"""Each reason of the table with a run that has it; `make explain` and `make run` say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core.versions import ROOT
from kfpkit.kfp.states import BAD
from kfpkit.kfp.workflow import pod_name
from kfpkit.runs import remote
from kfpkit.runs.explain import explain, gather
from kfpkit.runs.facts import Facts
from kfpkit.runs.reasons import REASONS
from tests.support.recorded_runs import (
    RUN,
    WORKFLOW,
    Recorded,
    fatal,
    node,
    pod,
    recorded,
    said_by_make_run,
    workflow,
)

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.runs.reasons import Reason

#: With driver pods, and as with the warm driver.
pytestmark = pytest.mark.usefixtures("either_driver")

ERROR = "Error (exit code 1)"
ELSEWHERE = "/minio/mlpipeline/v2/artifacts/penguins/another-run/load/1/data"
MISSING = f"FileNotFoundError: [Errno 2] No such file or directory: '{ELSEWHERE}'\n"
DECIDED = {"parameters": [{"name": "cached-decision", "value": "true"}]}


def waits(message: str) -> Recorded:
    return recorded(workflow(node(1, "train", "Pending", message)), pod(1))


def failed(*others: dict[str, Any], message: str = ERROR, log: str = "", **more: Any) -> Recorded:
    last = node(2, "train", "Failed", message)
    objects = more.pop("objects", [pod(2, phase="Failed")])
    return recorded(workflow(*others, last, phase="Failed", **more), *objects, log=log)


def refused(message: str) -> Recorded:
    """Return a run with a step for which Argo made no pod."""
    return recorded(workflow(node(2, "train", "Error", message), phase="Error"))


def driver(log: str) -> Recorded:
    last = node(2, "train-driver", "Failed", ERROR)
    made = pod(2, phase="Failed")
    made["metadata"]["name"] = pod_name(last)
    return recorded(workflow(last, phase="Failed"), made, log=log)


def suspended(message: str, **more: Any) -> Recorded:
    """Return a run whose driver the warm driver is to run."""
    return recorded(workflow(node(1, "train-driver", "Running", message, type="Suspend")), **more)


def importer() -> dict[str, Any]:
    name = f"{WORKFLOW}.root.importer"
    return node(1, "importer", "Succeeded", templateName="system-importer", name=name)


def untold() -> dict[str, Any]:
    """Return a Workflow that no controller has looked at."""
    fresh = workflow()
    return {key: value for key, value in fresh.items() if key != "status"}


#: By reason: a run, and the sentence on it.
EXAMPLES: dict[str, tuple[Recorded, str]] = {
    "lost": (
        recorded(),
        "the run will stay RUNNING for ever: its Workflow was removed before the persistence agent "
        "had seen its end",
    ),
    "not-taken-up": (
        recorded(untold()),
        "the workflow-controller has not taken the run up: it is not running, or far behind",
    ),
    "terminated": (
        failed(message="Error (exit code 143)", shutdown="Terminate"),
        "somebody terminated the run",
    ),
    "workflow-too-large": (
        recorded(workflow(phase="Error", message="workflow is longer than maximum allowed size")),
        "the run's Workflow is too large to be stored: the pipeline has too many tasks, or loops "
        "over too many items",
    ),
    "no-output": (
        failed(
            log=fatal(
                'failed to read output parameter name="n" type="STRING" path="/tmp/n": open '
                "/tmp/n: no such file or directory"
            )
        ),
        "the step train failed: it ended well, but wrote nothing into its output n; write it on "
        "every path, or give it no output",
    ),
    "wrong-type": (
        failed(
            log=fatal(
                'failed to read output parameter name="n" type="NUMBER_INTEGER" path="/tmp/n": '
                'TextToPbValue(text="many", type="NUMBER_INTEGER") failed: invalid syntax'
            )
        ),
        'the step train failed: its output n is to be an integer, and it wrote "many"; write what '
        "the type says, or declare the type that is written",
    ),
    "not-finite": (
        failed(
            log="I1124 12:00:00.1 19 launcher_v2.go:877] ExecutorOutput: "
            '{"parameterValues": {"share": NaN}}\n' + fatal("proto: invalid value NaN")
        ),
        "the step train failed: share is NaN, which KFP cannot store; leave it out, or hand it "
        "over as a text",
    ),
    "message-too-large": (
        failed(log=fatal("grpc: received message larger than max (5242880 vs. 4194304)")),
        "the step train failed: its metrics and values are more than one message to or from the "
        "metadata server may hold (5,242,880 bytes of 4,194,304); log fewer points, or put them "
        "into a file, as an artifact",
    ),
    "foreign-store": (
        failed(log=fatal('open blob.Bucket: no driver registered for "minio"')),
        "the step train failed: an input of it is in a store for which it has no credentials; copy "
        "it into the installation's bucket, and import it from there",
    ),
    "quota": (
        waits('pods "x" is forbidden: exceeded quota: small'),
        "the step train gets no pod: the namespace's quota is used up",
    ),
    "pod-security": (
        refused('pods "x" is forbidden: violates PodSecurity "restricted:latest": hostNetwork'),
        "the step train is refused: its pod breaks the namespace's PodSecurity level",
    ),
    "missing-object": (
        waits('CreateContainerConfigError: secret "gone" not found'),
        "the step train cannot start: the secret gone is not there",
    ),
    "image": (
        waits('ImagePullBackOff: Back-off pulling image "i:1"'),
        "the step train cannot start: the node cannot get its image i:1",
    ),
    "unschedulable": (
        waits("Unschedulable: 0/1 nodes are available: 1 Insufficient memory."),
        "the step train waits: no node takes its pod",
    ),
    "out-of-memory": (
        failed(message="OOMKilled (exit code 137)", log="epoch 1\n"),
        "the step train was ended: it used more memory than its limit of 64Mi; raise it with "
        "`.set_memory_limit(...)`",
    ),
    "too-large": (
        refused('ConfigMap "x" is invalid: []: Too long: may not be more than 1048576 bytes'),
        "the step train gets no pod: what it is given is too large to be stored; hand it over in a "
        "file, as an artifact",
    ),
    "forbidden": (
        refused(
            'configmaps is forbidden: User "system:serviceaccount:kubeflow:workflow-controller" '
            'cannot create resource "configmaps" in API group "" in the namespace "kubeflow"'
        ),
        "the step train failed: Kubernetes forbids it: workflow-controller cannot create resource "
        '"configmaps"',
    ),
    "argument-too-long": (
        failed(
            message="Error (exit code 64)",
            log="exec /var/run/argo/argoexec: argument list too long\n",
        ),
        "the step train cannot start: a value that it is given is longer than 128 KiB, the most "
        "that Linux hands to a program; hand it over in a file, as an artifact",
    ),
    "evicted": (
        failed(message="The node was low on resource: ephemeral-storage."),
        "the step train was evicted: its node ran short, or it wrote more than it may",
    ),
    "deadline": (
        failed(message="Pod was active on the node longer than the specified deadline"),
        "the step train was ended: it took longer than it may",
    ),
    "unreachable": (
        driver(fatal("KFP driver: rpc error: code = Unavailable desc = refused")),
        "the driver of train failed: it did not reach the API, the metadata server or the object "
        "store",
    ),
    "pod-deleted": (
        failed(message="pod deleted", objects=[]),
        "the step train failed: its pod was deleted from outside, with its node perhaps",
    ),
    "killed": (
        failed(message="Error (exit code 137)", log="epoch 1\n"),
        "the step train was killed (SIGKILL): by somebody, with its node, or because its node had "
        "too little memory; `.set_retry(...)` tries it again, `.set_memory_limit(...)` gives it "
        "more memory",
    ),
    "cached-artifact": (
        failed(
            node(1, "load-driver", "Succeeded", outputs=DECIDED),
            node(3, "load", "Skipped", type="Skipped"),
            log=MISSING,
        ),
        "the step train failed: an input of it is no longer in the object store; load came from "
        "the cache, which still points at it",
    ),
    "missing-import": (
        failed(importer(), log=MISSING),
        f"the step train failed: nothing is at {ELSEWHERE[1:].replace('/', '://', 1)}, which the "
        "step importer imports; an import succeeds whatever is there",
    ),
    "deleted-artifact": (
        failed(log=MISSING),
        "the step train failed: an input of it is not in the object store: the step that made it "
        "wrote no file, or it was removed since",
    ),
    "stuck": (waits("odd: none knows"), "the step train does not start: odd: none knows"),
    "warm-driver-away": (
        suspended("", runners=[]),
        "the driver of train waits for the warm driver, which is away; it goes on as soon as that "
        "is back: no pod of it is ready",
    ),
    "part-away": (
        suspended(
            "waiting for the metadata server: rpc error: code = Unavailable (tried 3 times since "
            "12:00:05)"
        ),
        "the driver of train waits for the metadata server: rpc error: code = Unavailable; it is "
        "tried again by itself",
    ),
    "not-begun": (
        refused("failed to resolve {{tasks.load.outputs}}"),
        "Argo could not begin the step train: failed to resolve {{tasks.load.outputs}}",
    ),
    "driver": (
        driver(fatal("KFP driver: driver.Container(x=1) failed: cannot resolve inputs")),
        "the driver of train failed: KFP driver: cannot resolve inputs",
    ),
    "launcher": (
        failed(log="done\n" + fatal("failed to execute component: no route")),
        "the launcher of train failed: failed to execute component: no route",
    ),
    "step": (
        failed(log="bye\n" + fatal("failed to execute component: exit status 3")),
        "the step train failed by itself (exit code 3): bye",
    ),
    "unexplained": (
        failed(message=""),
        "the step train failed: neither a log nor Kubernetes says why",
    ),
}


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.name)
def test_each_reason_is_told_of_a_run_that_has_it(
    monkeypatch: pytest.MonkeyPatch, reason: Reason, tmp_path: Path
) -> None:
    cluster, sentence = EXAMPLES[reason.name]
    facts = gather(cluster, RUN, archive=lambda _: cluster.log)
    if not facts.workflow:
        facts = Facts(RUN, record={"state": "RUNNING"})
    explained = explain(facts, cluster)
    assert (explained.reason, explained.sentence) == (reason.name, sentence)
    assert explained.evidence
    assert (ROOT / explained.runbook).is_file()
    assert len(explained.commands) == len(reason.commands) > 0
    monkeypatch.setattr(remote, "DRIVING", 0.0)
    if reason.name != "not-taken-up":  # A run that has just been made looks the same.
        over = facts.workflow.phase in BAD
        said = said_by_make_run(cluster, tmp_path, over=over)
        assert [text.splitlines()[-1] for text in said] == [sentence]


def test_no_reason_has_a_row_twice_and_no_example_is_left_over() -> None:
    names = [reason.name for reason in REASONS]
    assert sorted(names) == sorted(EXAMPLES)


def test_a_failed_step_shows_the_end_of_its_output_before_the_sentence(tmp_path: Path) -> None:
    traceback = "Traceback (most recent call last):\n  File x\nValueError: too low\n"
    cluster = failed(log=f"reading\n{traceback}" + fatal("exit status 1"))
    (text,) = said_by_make_run(cluster, tmp_path, over=True)
    assert text == f"{traceback}the step train failed by itself: ValueError: too low"


def test_each_failed_step_has_its_own_words(tmp_path: Path) -> None:
    nodes = [node(n, step, "Failed", "pod deleted") for n, step in ((1, "a"), (2, "b"))]
    cluster = recorded(workflow(*nodes, phase="Failed"))
    said = said_by_make_run(cluster, tmp_path, over=True)
    words = "failed: its pod was deleted from outside, with its node perhaps"
    assert said == [f"the step a {words}", f"the step b {words}"]
    assert explain(gather(cluster, RUN), cluster).sentence == said[0]
