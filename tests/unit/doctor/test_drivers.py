"""Runs that use driver pods although the warm driver is installed: seen, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfpkit.doctor.drivers import drivers
from kfpkit.kfp import webhook
from kfpkit.kfp.workflow import ANNOTATION
from tests.support import webhooks
from tests.support.webhooks import State, installed

if TYPE_CHECKING:
    import pytest


def workflow(name: str, made: str, *, warm: bool) -> dict[str, Any]:
    annotations = {ANNOTATION: "{}"} if warm else {}
    return {"metadata": {"name": name, "creationTimestamp": made, "annotations": annotations}}


def seen(
    monkeypatch: pytest.MonkeyPatch, state: State, overlay: str = "kind-packages"
) -> list[tuple[str, str]]:
    found = drivers(webhooks.target(monkeypatch, state, overlay))
    return [(str(finding.verdict), finding.evidence) for finding in found]


def test_the_newest_run_since_the_webhook_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    state = installed()  # At 12:00.
    before = workflow("before", "2026-11-28T11:00:00Z", warm=False)
    cold = workflow("cold", "2026-11-28T13:00:00Z", warm=False)
    warm = workflow("warm", "2026-11-28T14:00:00Z", warm=True)
    later = workflow("later", "2026-11-28T15:00:00Z", warm=False)

    state.workflows = [before]
    ((verdict, said),) = seen(monkeypatch, state)
    assert (verdict, "no run has begun since" in said) == ("ok", True)

    state.workflows = [warm, cold, before]
    assert seen(monkeypatch, state) == [("ok", "drivers of the newest run, warm, have no pods")]

    state.workflows = [warm, later, cold]
    ((verdict, said),) = seen(monkeypatch, state)
    assert verdict == "warning"
    assert said.startswith("drivers of the newest run, later, of 2026-11-28T15:00:00Z, have pods")


def test_runs_before_the_last_change_of_the_configuration_say_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = installed()
    assert state.configuration
    state.configuration["metadata"]["managedFields"] = [{"time": "2026-11-28T16:00:00Z"}]
    state.workflows = [workflow("cold", "2026-11-28T15:00:00Z", warm=False)]
    ((verdict, _),) = seen(monkeypatch, state)
    assert verdict == "ok"


def test_a_known_reason_is_told_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    state = installed()
    state.ready = False
    state.workflows = [workflow("cold", "2026-11-28T15:00:00Z", warm=False)]
    ((verdict, said),) = seen(monkeypatch, state)
    assert (verdict, said) == ("warning", f"{webhook.FALLBACK}: no pod of warm-driver is ready")
    state = installed()
    state.configuration = None
    ((verdict, said),) = seen(monkeypatch, state)
    assert (verdict, said.startswith(webhook.FALLBACK)) == ("warning", True)


def test_an_overlay_without_it_is_not_looked_at_but_for_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ((verdict, _),) = seen(monkeypatch, State(), "cluster")
    assert verdict == "skipped"
    (left, _) = seen(monkeypatch, installed(), "cluster")
    assert left == ("warning", "the overlay has no warm driver, and the cluster has its webhook")
