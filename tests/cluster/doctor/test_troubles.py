"""The doctor, explanations and the support bundle on the kind cluster, with real troubles."""

from __future__ import annotations

import base64
import json
import secrets
import shlex
import tarfile
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from kfpkit.core.errors import BadInputError
from kfpkit.core.findings import Verdict
from kfpkit.core.versions import ROOT
from kfpkit.core.waiting import wait_for
from kfpkit.doctor import bundle, checks
from kfpkit.doctor.check import Check, examine
from kfpkit.kfp import reach
from kfpkit.kfp.target import Target, choose
from kfpkit.kfp.workflow import nodes, pod_name
from kfpkit.kube import health
from kfpkit.operations import canary
from kfpkit.operations import installation as lifecycle
from kfpkit.runs import explain
from kfpkit.runs import lookup as runs
from tests.support import troubles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.kfp, pytest.mark.long, pytest.mark.timeout(1500)]

#: Seconds; all runs on the cluster share its processors.
PATIENCE = 400.0


@pytest.fixture(scope="module")
def target(cluster: str) -> Target:
    """Kubeflow Pipelines on the cluster, installed if need be."""
    installed = choose(context=cluster)
    if not installed.has_namespace():
        lifecycle.install(installed, timeout=900)
    return installed


def create(target: Target, *objects: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    target.run("create", "--filename", "-", stdin=text)


def delete(target: Target, *objects: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    target.run("delete", "--ignore-not-found", "--filename", "-", stdin=text)


def test_a_running_installation_has_no_faults(target: Target) -> None:
    chosen = [check for check in checks.CHECKS if check.name != checks.CANARY]
    for report in examine(target, chosen):
        if report.name == "storage":  # That is up to the machine.
            assert all("free" in finding.evidence for finding in report.findings)
        else:
            assert report.verdict in (Verdict.OK, Verdict.WARNING), report


@pytest.fixture
def stopped(cluster: str) -> Iterator[Target]:
    """An installation without a pod, in a namespace of its own."""
    broken = choose(str(ROOT / "tests/support/stopped"), context=cluster)
    (report, *_) = examine(broken, checks.CHECKS)
    assert report.findings[-1].evidence == "there is no namespace kfp-doctor"
    try:
        lifecycle.install(broken, timeout=300)
        yield broken
    finally:
        broken.run("delete", "namespace", broken.namespace, "--ignore-not-found")


def test_a_broken_installation_is_a_fault_in_each_store_and_what_needs_them_is_skipped(
    stopped: Target,
) -> None:
    reports = {report.name: report for report in examine(stopped, checks.CHECKS)}
    assert {name: str(report.verdict) for name, report in reports.items()} == {
        "cluster": "ok",
        "nodes": "ok",
        "clocks": "ok",
        "storage": "skipped",
        "pods": "fault",
        "database": "fault",
        "object-store": "fault",
        "metadata": "skipped",
        "api": "skipped",
        "runs": "ok",
        "canary": "skipped",
    }
    said = [finding.evidence for finding in reports["pods"].findings]
    for part in lifecycle.components(stopped):
        assert any(line.startswith(f"{part.name}: 0 of 0 ready") for line in said)
    assert "no ready pod is behind" in reports["object-store"].findings[0].evidence
    for report in reports.values():
        for finding in report.findings:
            if finding.verdict is not Verdict.FAULT:
                continue
            parsed = shlex.split(finding.command)
            assert parsed[:5] == stopped.argv()
            if parsed[5] == "describe":
                assert stopped.query(*parsed[5:]).stdout


def left_by_canaries(target: Target) -> set[str]:
    names = {w["metadata"]["name"] for w in target.items(["workflows"])}
    with reach.store(target) as store:
        for prefix in ("v2/artifacts/", "artifacts/"):
            names |= {item["path"] for page in store.list(prefix) for item in page}
    return {name for name in names if canary.NAME in name}


def test_the_canary_passes_and_leaves_no_run_and_no_object(target: Target) -> None:
    before = left_by_canaries(target)
    (report,) = examine(target, [Check(checks.CANARY, "a run", checks.canary_run)])
    assert report.verdict is Verdict.OK, report
    assert [f.evidence.partition(":")[0] for f in report.findings] == [
        "2 steps, executed",
        "2 steps, from the cache",
    ]
    assert left_by_canaries(target) <= before


@pytest.fixture(scope="module")
def sick(target: Target) -> Iterator[dict[str, str]]:
    """Workflows, each with a trouble of its own, by the name of the trouble."""
    ids = {name: str(uuid.uuid4()) for name in troubles.WORKFLOWS}
    objects = troubles.quota(target.namespace)
    objects += [troubles.workflow(name, run) for name, run in ids.items()]
    try:
        create(target, *objects)
        yield ids
    finally:
        delete(target, *objects)


@pytest.mark.parametrize("name", troubles.WORKFLOWS)
def test_a_trouble_is_told_in_a_sentence(
    target: Target, sick: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # KFP's own label would make its agent report, and then remove, a Workflow without a run.
    monkeypatch.setattr(health, "RUN", troubles.LABEL)
    reason, words = troubles.WORKFLOWS[name][1:]
    found: list[explain.Explanation] = []

    def probe() -> str | None:
        # A pod's log may come a moment after its end.
        found[:] = [explain.explain(explain.gather(target, sick[name]), target)]
        shown = f"{found[0].sentence} {' '.join(found[0].evidence)}"
        told = found[0].reason == reason and all(word in shown for word in words)
        return None if told else f"{found[0].reason}: {shown}"

    wait_for(f"the trouble {name}", probe, timeout=PATIENCE, interval=3)
    for command in found[0].commands:
        assert command.startswith(("make ", target.kubectl))


def test_a_step_that_ran_out_of_memory_under_the_launcher(target: Target) -> None:
    with troubles.client(target) as client:
        run = troubles.start(client, troubles.hungry, {})
        assert troubles.end(client, run, PATIENCE) == "FAILED"
        found = runs.look(target, run)
    assert (found.reason, found.state) == ("out-of-memory", "Failed")
    assert "the step eat" in found.sentence
    assert "32Mi" in found.sentence


@pytest.fixture(scope="module")
def failing(target: Target) -> Iterator[tuple[Any, dict[str, str]]]:
    """A client, and runs that fail, started at once."""
    with troubles.client(target) as client:
        yield client, {n: troubles.start(client, p[0], {}) for n, p in troubles.PIPELINES.items()}


@pytest.mark.parametrize("name", troubles.PIPELINES)
def test_a_failure_is_told_in_a_sentence(
    target: Target, failing: tuple[Any, dict[str, str]], name: str
) -> None:
    client, ids = failing
    _, reason, words = troubles.PIPELINES[name]
    assert troubles.end(client, ids[name], PATIENCE) == "FAILED"
    found = runs.look(target, ids[name])
    assert found.reason == reason, found
    for word in words:
        assert word in found.sentence
    if name == "retried":
        items = target.items(["workflows"], "--selector", f"{health.RUN}={ids[name]}")
        (last,) = [n for n in nodes(items[0]["status"]).values() if n["name"].endswith("(1)")]
        assert found.evidence[0] == f"pod {pod_name(last)}"


def test_an_input_that_the_cache_points_at_and_that_is_gone(target: Target) -> None:
    token = secrets.token_hex(8)
    with troubles.client(target) as client:
        first = troubles.start(client, troubles.handing_on, {"token": token, "again": "1"})
        assert troubles.end(client, first, PATIENCE) == "SUCCEEDED"
        with reach.store(target) as store:
            paths = [
                item["path"]
                for page in store.list(f"v2/artifacts/{troubles.HANDING_ON}/{first}/write")
                for item in page
                if item["path"].endswith("note")
            ]
            assert paths
            store.delete(paths)
        second = troubles.start(client, troubles.handing_on, {"token": token, "again": "2"})
        assert troubles.end(client, second, PATIENCE) == "FAILED"
        found = runs.look(target, second)
    assert found.reason == "cached-artifact", found
    assert "write came from the cache" in found.sentence
    assert f"pipeline/{troubles.HANDING_ON}" in found.commands[1]


def test_a_run_whose_workflow_was_removed_is_lost(target: Target) -> None:
    with troubles.client(target) as client:
        run = troubles.start(client, troubles.hungry, {})
        target.run("delete", "workflows", "--selector", f"{health.RUN}={run}", "--wait")
        found = runs.look(target, run)
    assert found.reason == "lost"
    with pytest.raises(BadInputError, match="there is no run"):
        runs.look(target, str(uuid.uuid4()))


def test_no_planted_secret_is_in_a_bundle(target: Target, tmp_path: Path) -> None:
    planted = {"plain": secrets.token_urlsafe(24), "sharp": f"p@ss/{secrets.token_hex(9)}?&="}
    literal, key = secrets.token_hex(12), base64.b64encode(secrets.token_bytes(300)).decode()
    objects = troubles.planted(planted, literal, key)
    create(target, *objects)
    try:
        target.query(
            "wait",
            "pod/doctor-planted",
            "--for=jsonpath={.status.phase}=Succeeded",
            f"--timeout={PATIENCE:.0f}s",
        )
        log = target.query("logs", "doctor-planted").stdout
        assert planted["plain"] in log
        assert key in log
        reports = examine(target, checks.CHECKS[:3])
        bundle.make(target, tmp_path / "b.tar.gz", reports)
        values = [
            base64.b64decode(value).decode()
            for secret in target.items(["secrets"])
            for value in secret["data"].values()
        ]
    finally:
        delete(target, *objects)
    files = troubles.unpack(tmp_path / "b.tar.gz")
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o077 == 0
    assert {*planted.values()} <= {*values}
    for value in [*values, literal, key]:
        forms = [value, quote(value, safe=""), json.dumps(value)[1:-1]]
        forms += [base64.b64encode(value.encode()).decode().rstrip("=")[:-1]]
        for name, text in files.items():
            for form in forms:
                assert form not in text, name
    names = {name.partition("/")[2] for name in files}
    for needed in (
        "doctor.json",
        "versions.json",
        "objects/secrets.yaml",
        "objects/workflows.argoproj.io.yaml",
        "objects/events.yaml",
        "cluster/nodes.yaml",
        "logs/doctor-planted/main.log",
        "logs/database-0/mariadb.log",
    ):
        assert needed in names
    (log,) = [text for name, text in files.items() if name.endswith("doctor-planted/main.log")]
    assert "the log of a planted pod" in log
    assert log.count("REDACTED") >= 6
    with pytest.raises(BadInputError, match="is there already"):
        bundle.make(target, tmp_path / "b.tar.gz", [])
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        assert all(entry.isfile() for entry in archive)
