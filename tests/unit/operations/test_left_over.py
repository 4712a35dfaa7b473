"""ConfigMaps of earlier installs: removed once nothing names them, and never another one."""

from __future__ import annotations

from typing import Any

import pytest

from kfpkit.operations.installation import left_over

NOW, OLD, OTHER = "settings-k9bd6mtc2h", "settings-2b5cf7ghkt", "own-settings"


def user(kind: str, configmap: str, *, replicas: int = 1, leaving: bool = False) -> dict[str, Any]:
    volumes = [{"name": "settings", "configMap": {"name": configmap}}]
    spec: dict[str, Any] = {"volumes": volumes}
    if kind != "Pod":
        spec = {"replicas": replicas, "template": {"spec": spec}}
    metadata = {"name": "part", **({"deletionTimestamp": "now"} if leaving else {})}
    return {"kind": kind, "metadata": metadata, "spec": spec}


def test_only_an_old_one_goes() -> None:
    users = [user("Deployment", NOW), user("Pod", NOW)]
    assert left_over([NOW, OLD, OTHER], [NOW], users) == [OLD]


@pytest.mark.parametrize(
    "named_by",
    [
        user("Pod", OLD),
        user("ReplicaSet", OLD),
        # Somebody stopped it, and will start it again.
        user("Deployment", OLD, replicas=0),
        user("StatefulSet", OLD),
    ],
    ids=lambda item: item["kind"],
)
def test_one_that_something_names_stays(named_by: dict[str, Any]) -> None:
    assert left_over([NOW, OLD], [NOW], [user("Deployment", NOW), named_by]) == []


def test_history_and_what_is_going_away_hold_nothing() -> None:
    users = [user("ReplicaSet", OLD, replicas=0), user("Pod", OLD, leaving=True)]
    assert left_over([NOW, OLD], [NOW], users) == [OLD]
