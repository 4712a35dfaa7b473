"""The arithmetic of `make bench`: moments, phases, who follows whom, ratios."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import phases
from benchmarks.phases import MOMENTS, Piece, Seen
from benchmarks.watching import Watch


def pod(node: str, **status: Any) -> dict[str, Any]:
    """Return a pod of a Workflow, scheduled as soon as it says anything of itself."""
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"pod-of-{node}",
            "labels": {phases.WORKFLOW: "w"},
            "annotations": {phases.NODE: node},
        },
        "spec": {"nodeName": "n"} if status else {},
        "status": status,
    }


def conditions(*names: str) -> list[dict[str, str]]:
    return [{"type": name, "status": "True"} for name in names]


def main(state: str) -> list[dict[str, Any]]:
    return [{"name": "wait", "state": {"running": {}}}, {"name": "main", "state": {state: {}}}]


def workflow(phase: str, **nodes: dict[str, Any]) -> dict[str, Any]:
    found = {
        f"w-{key}": {"id": f"w-{key}", "templateName": "", "children": [], **node}
        for key, node in nodes.items()
    }
    return {
        "kind": "Workflow",
        "metadata": {"name": "w", "labels": {"pipeline/runid": "run"}},
        "status": {"phase": phase, "nodes": found},
    }


def node(name: str, template: str, phase: str, *children: str, type: str = "Pod") -> dict[str, Any]:  # noqa: A002 - Argo's word
    return {
        "name": f"w.{name}",
        "type": type,
        "phase": phase,
        "templateName": template,
        "children": [f"w-{child}" for child in children],
    }


@pytest.mark.parametrize(
    ("status", "last"),
    [
        ({}, "created"),
        ({"phase": "Pending"}, "scheduled"),
        ({"conditions": conditions("PodReadyToStartContainers")}, "sandbox"),
        ({"conditions": conditions("PodReadyToStartContainers", "Initialized")}, "initialized"),
        ({"containerStatuses": main("waiting")}, "scheduled"),
        ({"containerStatuses": main("running")}, "started"),
        ({"containerStatuses": main("terminated")}, "ended"),
        ({"phase": "Succeeded", "containerStatuses": main("terminated")}, "done"),
    ],
)
def test_a_pod_says_what_it_has_reached(status: dict[str, Any], last: str) -> None:
    assert max(phases.reached(pod("a", **status)), key=MOMENTS.index) == last


def test_what_no_event_showed_is_as_late_as_what_was_seen_next() -> None:
    found = phases.complete({"created": 1, "scheduled": 1, "ended": 5, "done": 6})
    assert found == {
        "created": 1,
        "scheduled": 1,
        "sandbox": 5,
        "initialized": 5,
        "started": 5,
        "ended": 5,
        "done": 6,
    }


def test_the_controller_had_seen_what_it_made_the_next_pod_for() -> None:
    found = phases.in_order({"created": 1, "done": 4, "seen": 6, "next": 5})
    assert found == {"created": 1, "done": 4, "seen": 5, "next": 5}
    # Nor is anything before what it follows, where two watches tell it so.
    assert phases.in_order({"done": 4, "seen": 3.9}) == {"done": 4, "seen": 4}


def test_a_driver_and_its_executor_are_cut_into_phases() -> None:
    watch = Watch()
    driver = ("root.a-driver", "system-container-driver")
    executor = ("root.a.executor", "system-container-impl")
    events = [
        (0, workflow("Running")),
        (1, pod("w-1")),
        (2, pod("w-1", phase="Pending")),
        (4, pod("w-1", conditions=conditions("PodReadyToStartContainers", "Initialized"))),
        (5, pod("w-1", containerStatuses=main("running"))),
        (7, pod("w-1", containerStatuses=main("terminated"))),
        (8, pod("w-1", phase="Succeeded", containerStatuses=main("terminated"))),
        (10, pod("w-2")),
        (
            11,
            workflow(
                "Running",
                **{
                    "1": node(*driver, "Succeeded", "between"),
                    "between": node("root.a", "system-container-executor", "Running", "2"),
                    "2": node(*executor, "Pending"),
                },
            ),
        ),
        (20, pod("w-2", phase="Succeeded", containerStatuses=main("terminated"))),
        (
            21,
            workflow(
                "Succeeded",
                **{
                    "1": node(*driver, "Succeeded", "between"),
                    "between": node("root.a", "x", "Succeeded", "2", type="DAG"),
                    "2": node(*executor, "Succeeded"),
                },
            ),
        ),
    ]
    for now, item in events:
        watch.take({"type": "MODIFIED", "object": item}, now)
    seen = watch.runs["run"]
    first, second = phases.pieces(seen)

    assert (seen.created, seen.ended, phases.succeeded(seen)) == (0, 21, True)
    assert (first.role, first.task, second.role, second.task) == ("driver", "a", "executor", "a")
    assert phases.lengths(first) == {
        "scheduled": 1,
        "sandbox": 2,
        "initialized": 0,
        "started": 1,
        "ended": 2,
        "done": 1,
        "seen": 2,
        "next": 0,
    }
    assert second.moments["created"] == 10
    assert second.moments["seen"] == 21
    assert "next" not in second.moments


def test_a_pod_that_comes_before_its_workflow_is_kept() -> None:
    watch = Watch()
    watch.take({"type": "ADDED", "object": pod("w-1")}, 1)
    watch.take({"type": "ADDED", "object": workflow("")}, 2)
    assert watch.runs["run"].pods == {"w-1": {"created": 1}}
    assert watch.runs["run"].created == 1


def test_a_watch_that_ends_is_told() -> None:
    watch = Watch()
    watch.take({"type": "ERROR", "object": {"message": "too old"}}, 1)
    assert watch.broken == "too old"


def test_a_driver_without_a_pod_has_what_the_workflow_shows() -> None:
    seen = Seen("w", 0)
    driver = ("root.a-driver", "system-container-driver")
    for now, phase in ((1, "Running"), (3, "Succeeded")):
        item = workflow("Running", **{"1": node(*driver, phase, type="Suspend")})
        seen.take_workflow(item, now)
    (piece,) = phases.pieces(seen)

    assert not piece.has_pod
    assert piece.role == "driver"
    assert phases.lengths(piece) == {"seen": 2}


def test_of_two_that_one_waits_for_the_last_is_followed() -> None:
    seen = Seen("w", 0)
    nodes = {
        "1": node("root.a.executor", "system-container-impl", "Succeeded", "3"),
        "2": node("root.b.executor", "system-container-impl", "Running", "3"),
    }
    seen.take_workflow(workflow("Running", **nodes), 4)
    nodes["2"] = {**nodes["2"], "phase": "Succeeded"}
    nodes["3"] = node("root.c-driver", "system-container-driver", "Pending")
    for key, now in (("w-1", 1), ("w-2", 1), ("w-3", 9)):
        seen.take_pod(pod(key), now)
        seen.take_pod(pod(key, phase="Succeeded"), now + 1)
    seen.take_workflow(workflow("Running", **nodes), 8)
    found = {piece.task: piece.moments for piece in phases.pieces(seen)}

    assert "next" not in found["a"]
    assert (found["b"]["seen"], found["b"]["next"]) == (8, 9)


def test_followers_are_the_nearest_and_a_ring_ends() -> None:
    nodes = {
        "a": {"children": ["x", "y"]},
        "x": {"children": ["b", "a"]},
        "y": {"children": ["c"]},
        "b": {"children": ["d"]},
    }
    assert phases.followers(nodes, "a", ["b", "c", "d"]) == {"b", "c"}


def test_means_are_over_those_that_have_the_phase() -> None:
    pieces = [
        Piece("p", "driver", "", {"created": 0, "scheduled": 1, "sandbox": 3}),
        Piece("q", "driver", "", {"created": 0, "scheduled": 3}),
    ]
    assert phases.means(pieces) == {"scheduled": 2, "sandbox": 2}
    assert phases.means([]) == {}


def test_ratios_are_of_the_rounds_that_both_have() -> None:
    assert phases.ratios({1: 10, 2: 5, 4: 1}, {1: 40, 2: 10, 3: 7}) == [0.25, 0.5]
    assert phases.spread([3, 1, 2]) == {"median": 2, "min": 1, "max": 3, "count": 3}
