"""Drivers without pods: the same runs as with them, whatever is killed meanwhile."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from kfpkit.core.waiting import wait_for
from kfpkit.kfp.workflow import ANNOTATION
from kfpkit.kube import forward
from kfpkit.warm.webhook import DRIVERS
from tests.support import evidence
from tests.support.runs import FINAL, Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.turn(4), pytest.mark.timeout(1200)]

PODS = "--selector=app.kubernetes.io/name=warm-driver"

#: What Argo would fill in.
BRACES = '{{workflow.status}} {{=1+1}} {"a": "{{workflow.uid}}"}'

#: How often the warm driver is killed during one run.
KILLS = 5


def doubled(target: Target, run: Run) -> list[tuple[object, ...]]:
    """Return the tasks that have more than one execution in the metadata."""
    with forward.opened(target, forward.METADATA) as address:
        return evidence.doubled(address, run.id)


def driver_types(run: Run) -> Counter[str]:
    """Return how many drivers had a pod, and how many had none."""
    return Counter(n["type"] for n in run.nodes() if n.get("templateName", "").endswith(DRIVERS))


@pytest.mark.parametrize("name", ["flow", "stumble", "penguins", "rounds", "retried task"])
def test_no_driver_has_a_pod_and_no_task_two_executions(
    target: Target, runs: dict[str, Run], name: str
) -> None:
    run = runs[name]
    run.wait_until("its end", lambda: None if run.state in FINAL else run.state)
    # What was not reached is skipped.
    assert set(driver_types(run)) - {"Skipped"} == {"Suspend"}
    assert doubled(target, run) == []


def test_a_drivers_log_is_kept(runs: dict[str, Run]) -> None:
    run = runs["flow"].finish()
    for node in run.nodes():
        if node.get("templateName", "").endswith(DRIVERS):
            assert "input ComponentSpec" in run.archived(node["id"])


def test_braces_reach_the_step_as_they_were(
    start: Callable[..., Run], compiled: Callable[..., Path]
) -> None:
    run = start(compiled("many", "many"), {"text": BRACES, "items": ["take", BRACES]}).finish()
    # The API server itself fills in the run's ID in parameters, before anybody sees them.
    text = BRACES.replace("{{workflow.uid}}", run.id)
    # A parameter, a task's returned value, a loop's item.
    assert [f"gave {text}" in run.log("give"), f"took {text}" in run.log("take")] == [True, True]
    assert f"gave {text}" in run.log("give-2")


def test_a_run_survives_the_death_of_its_driver_at_any_moment(
    target: Target, start: Callable[..., Run], compiled: Callable[..., Path]
) -> None:
    items = [f"{uuid.uuid4().hex} {number}" for number in range(6)]
    run = start(compiled("many", "many"), {"text": uuid.uuid4().hex, "items": ["take", *items]})
    for _ in range(KILLS):
        before = len(run.nodes()) if run.state != "PENDING" else 0

        def moved_on(before: int = before) -> str | None:
            over = run.state in FINAL or len(run.nodes()) > before
            return None if over else f"{before} nodes"

        run.wait_until("the run to go on", moved_on)
        target.run("delete", "pod", PODS, "--force", "--grace-period=0")
    run.finish()
    assert ANNOTATION in run.workflow["metadata"]["annotations"]
    assert set(driver_types(run)) == {"Suspend"}
    assert doubled(target, run) == []
    assert len(run.pods("take")) == 1


def test_a_run_that_begins_while_the_webhook_is_away_has_driver_pods(
    target: Target, start: Callable[..., Run], compiled: Callable[..., Path]
) -> None:
    target.run("scale", "deployment/warm-driver", "--replicas=0")
    try:
        wait_for(
            "the warm driver to be gone",
            lambda: "there" if target.items(["pods"], PODS) else None,
            timeout=120,
        )
        run = start(compiled("hello", "hello"), {"name": "pods"})
        run.finish()
        assert set(driver_types(run)) == {"Pod"}
    finally:
        target.run("scale", "deployment/warm-driver", "--replicas=1")
        target.run("rollout", "status", "deployment/warm-driver", "--timeout=120s")


def test_a_run_that_is_ended_leaves_no_driver_waiting(
    target: Target, start: Callable[..., Run], compiled: Callable[..., Path]
) -> None:
    """Its first driver waits, for the metadata server is away."""
    target.run("scale", "deployment/metadata-grpc", "--replicas=0")
    try:
        run = start(compiled("hello", "hello"), {"name": uuid.uuid4().hex})

        def waiting() -> str | None:
            said = [n.get("message", "") for n in run.nodes() if n["type"] == "Suspend"]
            return None if any(m.startswith("waiting for metadata") for m in said) else str(said)

        run.wait_until("the driver to wait", waiting, timeout=120)
        run.client.terminate_run(run.id)
        run.wait_until("its end", lambda: None if run.state in FINAL else run.state, timeout=120)
    finally:
        target.run("scale", "deployment/metadata-grpc", "--replicas=1")
        target.run("rollout", "status", "deployment/metadata-grpc", "--timeout=120s")


def test_a_run_waits_for_a_metadata_server_that_is_away(
    target: Target, start: Callable[..., Run], compiled: Callable[..., Path]
) -> None:
    target.run("scale", "deployment/metadata-grpc", "--replicas=0")
    try:
        run = start(compiled("hello", "hello"), {"name": uuid.uuid4().hex})
        run.wait_until(
            "the driver to wait",
            lambda: None if any(n.get("message") for n in run.nodes()) else "no message",
            timeout=120,
        )
    finally:
        target.run("scale", "deployment/metadata-grpc", "--replicas=1")
    run.finish()
    assert doubled(target, run) == []
