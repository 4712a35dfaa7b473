"""Checks are gone through in order; what a fault stands before is not asked."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from kfpkit import cli
from kfpkit.core import process
from kfpkit.core.errors import CommandError, KitError
from kfpkit.core.findings import Finding, Verdict, fault, ok, skipped, warning
from kfpkit.core.versions import ROOT
from kfpkit.doctor import checks
from kfpkit.doctor.check import Check, examine
from kfpkit.kfp import api, reach
from kfpkit.kfp.target import Target
from kfpkit.kube import health, volumes
from kfpkit.operations import lock
from kfpkit.operations.lock import Operation
from kfpkit.runs.explain import explain
from kfpkit.runs.facts import Facts
from tests.support.fake_cluster import cluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TARGET = Target("kind", "no-such-context", "kubectl")


def yielding(*findings: Finding) -> object:
    return lambda _: iter(findings)


def raising(error: KitError) -> object:
    def ask(_: Target) -> Iterator[Finding]:
        yield ok("began")
        raise error

    return ask


def verdicts(*checks: Check) -> dict[str, str]:
    return {report.name: str(report.verdict) for report in examine(TARGET, checks)}


def check(name: str, ask: object, *needs: str) -> Check:
    return Check(name, name, ask, needs, "page")  # type: ignore[arg-type]


def test_the_worst_finding_is_the_verdict() -> None:
    seen = verdicts(
        check("a", yielding(ok("x"), warning("y", "do"), skipped("z"))),
        check("b", yielding(skipped("z"))),
        check("c", yielding(fault("f", "do"), ok("x"))),
        check("d", yielding()),
    )
    assert seen == {"a": "warning", "b": "skipped", "c": "fault", "d": "ok"}


def test_what_needs_something_broken_is_skipped_and_names_the_first_cause() -> None:
    asked: list[str] = []

    def ask(_: Target) -> Iterator[Finding]:
        asked.append("asked")
        yield ok("x")

    reports = list(
        examine(
            TARGET,
            [
                check("outer", yielding(fault("f", "do"))),
                check("middle", ask, "outer"),
                check("inner", ask, "middle"),
                check("beside", ask),
            ],
        )
    )
    assert [str(r.verdict) for r in reports] == ["fault", "skipped", "skipped", "ok"]
    assert "the fault in outer" in reports[2].findings[0].evidence
    assert asked == ["asked"]
    assert [r.runbook for r in reports] == ["page", "", "", ""]


def test_what_was_left_out_by_itself_stands_before_nothing() -> None:
    seen = verdicts(check("a", yielding(skipped("elsewhere"))), check("b", yielding(ok("x")), "a"))
    assert seen == {"a": "skipped", "b": "ok"}


def test_an_error_is_a_fault_with_its_command() -> None:
    reports = list(
        examine(
            TARGET,
            [
                check("a", raising(CommandError("kubectl get pods", 1, "one\nrefused\n"))),
                check("b", raising(KitError("no pod", "kubectl describe"))),
            ],
        )
    )
    assert [r.findings[-1].command for r in reports] == ["kubectl get pods", "kubectl describe"]
    assert "refused" in reports[0].findings[-1].evidence
    assert all(r.verdict is Verdict.FAULT for r in reports)


def test_every_check_says_what_it_does_and_needs_only_earlier_ones() -> None:
    earlier: set[str] = set()
    for one in checks.CHECKS:
        assert one.ask.__doc__
        assert set(one.needs) <= earlier
        earlier.add(one.name)


def test_a_full_volume_is_seen_with_and_without_figures_of_its_own() -> None:
    volume = {
        "pvcRef": {"name": "c", "namespace": "n"},
        "availableBytes": 2**30,
        "capacityBytes": 100 * 2**30,
    }
    node = {"fs": {"availableBytes": 50 * 2**30, "capacityBytes": 100 * 2**30}}
    full = {"node": node, "pods": [{"volume": [volume]}]}
    (own,) = volumes.space(full, "c", "n", "node-1", "look")
    assert (own.verdict, own.evidence) == (Verdict.FAULT, "c: 1.0 of 100.0 GiB free (1%)")
    large = {"availableBytes": 30 * 2**30, "capacityBytes": 1000 * 2**30}
    (much,) = volumes.space({"node": {"fs": large}}, "c", "n", "node-1", "look")
    assert much.verdict is Verdict.OK
    (shared,) = volumes.space({"node": node}, "c", "n", "node-1", "look")
    assert shared.verdict is Verdict.OK
    assert "a folder on the disk of node-1" in shared.evidence
    inodes = {"fs": {**node["fs"], "inodes": 100, "inodesFree": 10}}
    found = list(volumes.space({"node": inodes}, "c", "n", "node-1", "look"))
    assert [f.verdict for f in found] == [Verdict.OK, Verdict.WARNING]


def node(name: str, **conditions: str) -> dict[str, Any]:
    listed = [{"type": kind, "status": status} for kind, status in conditions.items()]
    return {"metadata": {"name": name}, "spec": {}, "status": {"conditions": listed}}


def cordoned(name: str) -> dict[str, Any]:
    return {**node(name, Ready="True"), "spec": {"unschedulable": True}}


@pytest.mark.parametrize(
    ("nodes", "cluster", "verdicts"),
    [
        ([node("a", Ready="True", KernelReady="True", MemoryPressure="False")], [], []),
        ([node("a", Ready="True", MemoryPressure="True")], [], ["warning"]),
        ([node("a", Ready="True", DiskPressure="True")], [], ["fault"]),
        ([node("a", Ready="True", DiskPressure="True"), node("b", Ready="True")], [], ["warning"]),
        ([node("a", Ready="Unknown"), node("b", Ready="True")], ["warning"], []),
        ([node("a", Ready="False"), node("b", Ready="Unknown")], ["fault", "fault"], []),
        ([node("a")], ["fault"], []),
        ([cordoned("a")], [], ["fault"]),
        ([cordoned("a"), node("b", Ready="False")], ["warning"], ["fault"]),
        ([cordoned("a"), node("b", Ready="True")], [], ["warning"]),
    ],
)
def test_a_node_is_a_fault_only_where_none_is_ready_or_takes_pods(
    nodes: list[dict[str, Any]],
    cluster: list[str],
    verdicts: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def query(argv: list[str]) -> process.Result:
        version = {"serverVersion": {"gitVersion": "v1.34.0"}}
        answer = {"items": nodes} if "nodes" in argv else version
        return process.Result(0, json.dumps(answer), "")

    monkeypatch.setattr(process, "query", query)
    monkeypatch.setattr(Target, "has_namespace", lambda _: True)
    for check, wanted in ((checks.cluster, cluster), (checks.nodes, verdicts)):
        first, *found = check(TARGET)
        assert first.verdict is Verdict.OK
        assert [str(finding.verdict) for finding in found] == wanted


def test_a_cluster_that_is_away_is_one_fault_and_exit_code_1(tmp_path: object) -> None:
    shown = CliRunner().invoke(
        cli.app,
        ["doctor", "--overlay", "kind", "--context", "no-such-context", "--json"],
        env={"KUBECONFIG": f"{tmp_path}/none"},
    )
    assert shown.exit_code == 1
    assert '"faults": [\n    "cluster"\n  ]' in shown.stdout
    assert shown.stdout.count('"verdict": "skipped"') >= len(checks.CHECKS) - 1


def test_what_is_no_run_is_refused_before_anything_is_asked() -> None:
    shown = CliRunner().invoke(cli.app, ["explain", "--overlay", "kind", "penguins"])
    assert shown.exit_code == 1
    assert "no run's ID" in str(shown.exception)


def test_a_dry_run_writes_no_bundle(tmp_path: object) -> None:
    shown = CliRunner().invoke(
        cli.app,
        ["--dry-run", "support-bundle", "--overlay", "kind", "--output", f"{tmp_path}/b.tar.gz"],
    )
    assert shown.exit_code == 0
    assert "would collect" in shown.stderr


class Answering(Target):
    """A target whose namespace holds what a test says."""

    there: list[dict[str, Any]]

    def items(self, kinds: Sequence[str], *_: str) -> list[dict[str, Any]]:
        return [item for item in self.there if f"{item['kind'].lower()}s" in kinds]


def answering(*there: dict[str, Any]) -> Answering:
    made = Answering("kind", "nowhere", "kubectl")
    object.__setattr__(made, "there", list(there))
    return made


def workflow(number: int, phase: str, *nodes: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "Workflow",
        "metadata": {
            "name": f"wf-{number}",
            "labels": {health.RUN: f"run-{number}"},
            "creationTimestamp": f"2026-11-24T12:00:{number:02}Z",
        },
        "spec": {},
        "status": {"phase": phase, "nodes": {n["id"]: n for n in nodes}},
    }


def test_runs_that_go_on_crowd_no_failed_one_out_and_are_no_warning() -> None:
    quota = {"id": "n", "name": "wf.root.train.executor", "type": "Pod", "phase": "Pending"}
    quota |= {"templateName": "t", "message": "exceeded quota: small"}
    going = [workflow(n, "Running") for n in range(20, 40)]
    failed = [workflow(n, "Failed") for n in range(6)]
    stuck = [workflow(n, "Running", quota) for n in range(10, 17)]
    found = list(checks.runs(answering(*going, *failed, *stuck, workflow(50, "Succeeded"))))
    told = [f.evidence.partition(":")[0] for f in found]
    assert told == [
        *(f"run run-{n}" for n in (5, 4, 3, 2, 1)),
        "and 1 more that failed",
        *(f"run run-{n}" for n in (16, 15, 14, 13, 12)),
        "1 of 7 runs that ended in the last day succeeded, 27 go on",
    ]
    (fine,) = checks.runs(answering(*going))
    assert fine.verdict is Verdict.OK


def deployment(name: str, *, pods: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "generation": 1}
    template = {"spec": {"containers": [{"image": "i:1"}]}}
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), pods)
    return {
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"replicas": pods, "selector": {"matchLabels": {"a": name}}, "template": template},
        "status": {"observedGeneration": 1, **counts},
    }


@pytest.mark.parametrize(
    ("record", "was", "verdict", "said", "command"),
    [
        ((Operation.BACKUP, True), 0, "fault", "scheduled-workflow: 0 of 0 ready: backup is", ""),
        ((Operation.BACKUP, True), 1, "warning", "backup is under way: begun", "make backup"),
        ((Operation.UPGRADE, False), 0, "fault", "0 of 0 ready: upgrade is not", "make upgrade"),
        ((Operation.ROTATE, False), 1, "fault", "rotate-secrets is not at its", "make rotate-"),
        (None, 0, "fault", "scheduled-workflow: 0 of 0 ready: somebody scaled it", "kubectl"),
    ],
)
def test_an_operation_that_is_not_at_its_end_is_named_with_what_goes_on(
    record: tuple[Operation, bool] | None, was: int, verdict: str, said: str, command: str
) -> None:
    there = cluster()
    named = [deployment("ml-pipeline", pods=1), deployment("scheduled-workflow", pods=was)]
    there.state.deployments = named
    if record:
        operation, alive = record
        lock._take(there, operation).note("copies", again=f"make {operation}")
        there.state.clock += 0 if alive else int(lock.GONE)
    lacking, found, *_, last = checks.pods(there)
    assert lacking.evidence.startswith("not installed")
    assert (found.verdict, said in found.evidence) == (verdict, True)
    assert found.command.startswith(command)
    assert last.evidence == f"{1 + was} of 2 components ready"


def job(number: int, maker: str, condition: dict[str, str]) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"prune-{number}",
            "creationTimestamp": f"2026-11-2{number}T03:47:00Z",
            "ownerReferences": [{"name": maker}],
        },
        "status": {"conditions": [condition]},
    }


@pytest.mark.parametrize(
    ("maker", "status", "said"),
    [
        ("prune", "True", ["the job prune-1 failed: Job has reached its limit"]),
        ("prune", "False", []),
        ("of-mine", "True", []),
    ],
)
def test_a_job_of_the_overlay_that_failed_is_told(maker: str, status: str, said: list[str]) -> None:
    overlay = ROOT / "tests/support/combinations/packages-prune"
    target = Target(str(overlay), "no-such-context", "kubectl")
    condition = {"type": "Failed", "status": status, "message": "Job has reached its limit"}
    found = list(checks._failed(target, [job(1, maker, condition)]))
    assert [(f.verdict, f.evidence) for f in found] == [("warning", text) for text in said]


@pytest.mark.parametrize(("later", "told"), [("Complete", 0), ("Failed", 2), ("Suspended", 1)])
def test_a_job_that_failed_is_told_until_a_later_one_completed(later: str, told: int) -> None:
    overlay = ROOT / "tests/support/combinations/packages-prune"
    target = Target(str(overlay), "no-such-context", "kubectl")
    conditions = {0: "Complete", 1: "Failed", 2: later}
    jobs = [job(n, "prune", {"type": k, "status": "True"}) for n, k in conditions.items()]
    assert len(list(checks._failed(target, jobs))) == told


def test_a_run_that_was_just_made_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    made = answering(workflow(1, ""))
    monkeypatch.setattr(checks, "_age", lambda _: checks.SETTLED / 2)
    assert [f.verdict for f in checks.runs(made)] == [Verdict.OK]
    monkeypatch.setattr(checks, "_age", lambda _: checks.SETTLED * 2)
    found = list(checks.runs(made))
    assert [f.verdict for f in found] == [Verdict.WARNING, Verdict.OK]
    assert "not taken the run up" in found[0].evidence


def test_a_run_without_a_workflow_is_told_as_make_explain_tells_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = {"run_id": "1", "state": "RUNNING", "created_at": "2026-11-24T12:00:00Z"}
    over = {"run_id": "2", "state": "SUCCEEDED", "created_at": "2026-11-24T12:00:00Z"}
    listed = SimpleNamespace(runs=[record, over], total_size=2)
    client = SimpleNamespace(list_runs=lambda **_: listed)
    monkeypatch.setattr(reach, "service", lambda *_: nullcontext("host"))
    monkeypatch.setattr(api, "connect", lambda *_: client)
    first, *others = checks.server(answering())
    assert first.verdict is Verdict.OK
    sentence = explain(Facts("1", record=record), TARGET).sentence
    assert [(f.verdict, f.evidence) for f in others] == [
        (Verdict.WARNING, f"run 1: {sentence}"),
    ]


@pytest.mark.parametrize(
    ("terminated", "age", "told"),
    [
        # As the kubelet writes it of a container that went with its node.
        ({"exitCode": 137, "finishedAt": None, "reason": "ContainerStatusUnknown"}, 5, 1),
        ({"exitCode": 1, "finishedAt": "2026-11-24T12:00:00Z", "reason": "Error"}, 5, 1),
        ({"exitCode": 1, "finishedAt": "2026-11-24T12:00:00Z", "reason": "Error"}, 500, 0),
        (None, 5, 0),
    ],
)
def test_a_restart_is_told_for_an_hour(
    terminated: dict[str, Any] | None, age: int, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_age", lambda _: timedelta(minutes=age))
    status = {
        "name": "main",
        "lastState": {"terminated": terminated} if terminated else {},
        "state": {"running": {"startedAt": "2026-11-24T12:01:00Z"}},
    }
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [status]}}
    found = list(checks._restarts(TARGET, pod))
    assert len(found) == told
    assert all("5 minutes ago" in one.evidence for one in found)
