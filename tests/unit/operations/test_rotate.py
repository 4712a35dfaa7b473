"""New passwords and keys: what is printed, what stops it, and that it works for real."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from kfpkit import cli
from kfpkit.core import process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.kfp import secrets
from kfpkit.kfp.target import Target
from kfpkit.operations import lock, rotate
from kfpkit.operations.lock import BusyError, Operation
from tests.support.fake_cluster import cluster

if TYPE_CHECKING:
    from typing import Any


TEMPLATE = {"spec": {"containers": [{"image": "image:1"}]}}


READY = {
    "kind": "Deployment",
    "metadata": {"name": "ml-pipeline", "generation": 1},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": TEMPLATE,
    },
    "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1},
}


AWAY = {**READY, "status": {}}


class Answering(Target):
    """A target whose namespace holds what a test says; of it only the record may be changed."""

    there: list[dict[str, Any]]

    def items(self, kinds: Any, *_: str) -> list[dict[str, Any]]:
        return [item for item in self.there if item["kind"].lower() in "".join(kinds)]

    def query(self, *_: str, **__: Any) -> process.Result:
        return process.Result(0, "", "")

    def run(self, *arguments: str, stdin: str | None = None, **_: Any) -> process.Result:
        if lock.NAME in f"{arguments}{stdin}":
            return process.Result(0, "", "")
        raise AssertionError(arguments)


def target(*there: dict[str, Any], overlay: str = "kind") -> Answering:
    made = Answering(overlay, "nowhere", "kubectl")
    object.__setattr__(made, "there", list(there))
    return made


def workflow(phase: str | None) -> dict[str, Any]:
    status = {"status": {"phase": phase}} if phase else {}
    return {"kind": "Workflow", "metadata": {"name": f"run-{phase}"}, **status}


def test_a_dry_run_prints_each_command_and_no_value() -> None:
    words = ("--overlay", "kind", "--context", "nowhere")
    done = CliRunner().invoke(cli.app, ["--dry-run", "rotate-secrets", *words])
    shown = done.output.replace("\n", " ")

    assert done.exit_code == 0, done.output
    steps = (
        "create --filename -",
        "exec --stdin database-0",
        "patch secret database-password",
        "patch secret mlpipeline-minio-artifact",
        "rollout restart statefulset/database statefulset/object-store",
        "rollout restart deployment/metadata-grpc deployment/ml-pipeline deployment/ml-pipeline-ui",
        f"delete secret {lock.PENDING}",
    )
    places = [shown.index(step) for step in steps]
    assert places == sorted(places)
    assert not re.search(r"[0-9a-f]{20}", shown)


def test_a_run_under_way_stops_it_before_anything_has_changed() -> None:
    for phase in (None, "Pending", "Running"):
        busy = target(READY, workflow("Succeeded"), workflow(phase))
        with pytest.raises(BadInputError, match=f"under way: run-{phase}; nothing was changed"):
            rotate.rotate(busy, timeout=1, despite_runs=False)


def test_it_begins_when_told_to_in_spite_of_runs() -> None:
    busy = target(READY, workflow("Running"))
    with pytest.raises(AssertionError, match="create"):
        rotate.rotate(busy, timeout=1, despite_runs=True)


def test_a_part_that_is_not_ready_stops_it_before_anything_has_changed() -> None:
    with pytest.raises(KitError, match="not ready in kubeflow: ml-pipeline; nothing was changed"):
        rotate.rotate(target(AWAY), timeout=1, despite_runs=True)


def test_a_part_without_pods_stops_it_before_anything_has_changed() -> None:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), 0)
    stopped = {
        **READY,
        "spec": {"replicas": 0, "selector": {"matchLabels": {}}, "template": TEMPLATE},
        "status": {"observedGeneration": 1, **counts},
    }
    with pytest.raises(KitError, match="not ready in kubeflow: ml-pipeline; nothing was changed"):
        rotate.rotate(target(stopped), timeout=1, despite_runs=True)


def test_a_rotation_that_failed_is_gone_on_with_by_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise KitError("no")

    there = cluster()
    monkeypatch.setattr(rotate, "_require_quiet", lambda *_, **__: None)
    monkeypatch.setattr(rotate, "_alter_accounts", fail)
    with pytest.raises(KitError):
        rotate.rotate(there, timeout=1, despite_runs=False)
    with pytest.raises(BusyError, match="make rotate-secrets goes on with it"):
        lock.require(there, Operation.BACKUP)
    lock.require(there, Operation.ROTATE)


def test_keys_of_others_are_left_to_them() -> None:
    with pytest.raises(BadInputError, match="both stores of the overlay gke are yours"):
        rotate.rotate(target(overlay="gke"), timeout=1, despite_runs=False)


def test_new_values_are_new_and_safe_in_sql() -> None:
    for name, made in secrets.MADE.items():
        first, second = secrets.new(name), secrets.new(name)
        assert first.keys() == made.sizes.keys()
        for key, value in first.items():
            assert value != second[key]
            assert re.fullmatch(r"[0-9a-f]{20,}", value)
        assert json.loads(secrets.manifest(name, first))["stringData"] == first
