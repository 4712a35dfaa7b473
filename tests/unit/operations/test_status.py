"""What `make status` says of the parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import typer

from kfpkit.cli import install
from kfpkit.core.errors import CommandError
from kfpkit.core.findings import warning
from kfpkit.kfp import target, webhook
from kfpkit.kfp.target import Target
from kfpkit.kube import render
from kfpkit.kube.health import Workload
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import lock
from kfpkit.operations.lock import Found, Operation, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

TARGET = Target("kind-packages", "nowhere", "kubectl")


def parts(**pods: int) -> list[Workload]:
    """Return the parts of the overlay, each ready, with other numbers of pods for some."""
    counts = {name.replace("_", "-"): count for name, count in pods.items()}
    found = []
    for item in render.workloads(TARGET.documents):
        name = item["metadata"]["name"]
        count = counts.get(name, 1)
        found.append(Workload(name, item["kind"], count, count, True, 0, ("i:1",), "ready"))
    return found


def test_a_part_that_something_has_stopped_is_not_ready(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(target, "choose", lambda *_, **__: TARGET)
    monkeypatch.setattr(webhook, "troubles", lambda _: iter(()))
    monkeypatch.setattr(lifecycle, "components", lambda _: parts())
    monkeypatch.setattr(lock, "read", lambda _: None)
    install.status()
    assert "stopped" not in capsys.readouterr().out
    monkeypatch.setattr(lifecycle, "components", lambda _: parts(ml_pipeline=0, metadata_grpc=0))
    with pytest.raises(typer.Exit):
        install.status()
    said = capsys.readouterr()
    rows = {row.split()[0]: row.split()[3] for row in said.out.splitlines()[1:]}
    assert {name for name, state in rows.items() if state == "stopped"} == {
        "ml-pipeline",
        "metadata-grpc",
    }
    assert "metadata-grpc, ml-pipeline stopped: somebody" in " ".join(said.err.split())
    left = Found(Record(Operation.UPGRADE, again="make upgrade"), alive=False, version="1")
    monkeypatch.setattr(lock, "read", lambda _: left)
    with pytest.raises(typer.Exit):
        install.status()
    said = capsys.readouterr()
    assert "make upgrade goes on with it" in " ".join(said.err.split())


def test_that_runs_use_driver_pods_is_said_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(target, "choose", lambda *_, **__: TARGET)
    monkeypatch.setattr(lifecycle, "components", lambda _: parts())
    monkeypatch.setattr(lock, "read", lambda _: None)
    found = warning("runs use driver pods: why", "make install")
    monkeypatch.setattr(webhook, "troubles", lambda _: iter([found]))
    install.status()
    assert "runs use driver pods: why. make install" in " ".join(capsys.readouterr().err.split())

    def refuse(_: Target) -> None:
        raise CommandError("kubectl get", 1, "it is forbidden")

    monkeypatch.setattr(webhook, "troubles", refuse)
    install.status()
    assert "not looked at: the webhook" in " ".join(capsys.readouterr().err.split())


class Asked(Target):
    """A target that has the overlay's workloads, and notes what it is asked for."""

    def items(self, kinds: Sequence[str], *selector: str) -> list[dict[str, Any]]:
        asked.append((*kinds, *selector))
        return render.workloads(self.documents) if "deployments" in kinds else []


asked: list[tuple[str, ...]] = []


def test_the_pods_and_events_of_past_runs_are_not_read() -> None:
    """A thousand of them are 40 MB, and took 15 s at each look."""
    asked.clear()
    assert lifecycle.components(Asked("kind-packages", "nowhere", "kubectl"))
    lifecycle._prune(Asked("kind-packages", "nowhere", "kubectl"))
    many = [words for words in asked if {"pods", "events"} & {*words}]
    assert len(many) == 3
    assert all("selector=" in words[-1] for words in many), many


def test_events_are_read_only_while_a_store_has_no_pod() -> None:
    class Ready(Asked):
        def items(self, kinds: Sequence[str], *selector: str) -> list[dict[str, Any]]:
            ready = {"status": dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), 1)}
            return [one | ready for one in super().items(kinds, *selector)]

    asked.clear()
    found = lifecycle.components(Ready("kind-packages", "nowhere", "kubectl"))
    assert {one.kind for one in found if one.done} == {"Deployment", "StatefulSet"}
    assert [words[0] for words in asked] == ["deployments"]
