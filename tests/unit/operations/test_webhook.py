"""The certificate at an install and a rotation, and what the Kubernetes API is told of it."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from kfpkit.kfp import webhook
from kfpkit.operations import installation, rotate
from kfpkit.operations import webhook as operations
from kfpkit.operations.backup import create
from tests.support import webhooks
from tests.support.webhooks import NAMESPACE, State, installed

if TYPE_CHECKING:
    from tests.support.webhooks import WarmTarget

RESTART = "rollout restart deployment/warm-driver"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for, and the stores' Secrets are there."""
    for name in ("wait_until_ready", "_prune"):
        monkeypatch.setattr(installation, name, lambda *_, **__: None)
    monkeypatch.setattr("kfpkit.kfp.secrets.missing", lambda _: {})


def install(target: WarmTarget) -> list[str]:
    """Install; return what was run, each without its values."""
    installation._install(target, 1)
    return target.state.words()


def bundle(state: State) -> str:
    """Return the certificate that the Kubernetes API was told of."""
    given = state.given("apply --server-side --filename")
    return base64.b64decode(given["webhooks"][0]["clientConfig"]["caBundle"]).decode()


def test_the_first_install_makes_the_certificate_first_and_the_configuration_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = State(deployed=False)
    made, applied, told = install(webhooks.target(monkeypatch, state))
    assert made == "create --filename -"
    assert applied.startswith("apply --server-side -k")
    assert told == "apply --server-side --filename -"
    secret = state.given("create")
    assert secret["type"] == "kubernetes.io/tls"
    assert webhook.fault_of(secret["stringData"], NAMESPACE, webhook.LEFT) == ""
    assert bundle(state) == secret["stringData"][webhook.CRT]


def test_another_install_keeps_the_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    state = installed()
    state.configuration = None
    applied, told = install(webhooks.target(monkeypatch, state))
    assert applied.startswith("apply --server-side -k")
    assert told == "apply --server-side --filename -"
    assert bundle(state) == state.secret[webhook.CRT]


def test_one_that_ends_within_a_year_is_renewed_and_its_pods_restarted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(webhook, "LASTS", webhook.LEFT - timedelta(days=1))
        state = installed()
    patched_, _, restarted, told = install(webhooks.target(monkeypatch, state))
    assert patched_ == "patch secret warm-driver-tls --patch-file /dev/stdin"
    assert restarted == RESTART
    assert told == "apply --server-side --filename -"
    assert bundle(state) == state.given("patch")["stringData"][webhook.CRT]


def test_a_certificate_of_another_namespace_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a backup of an earlier kit brings one along."""
    state = installed("elsewhere")
    assert RESTART in install(webhooks.target(monkeypatch, state))


def test_an_overlay_without_it_takes_the_configuration_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = installed()
    *_, gone = install(webhooks.target(monkeypatch, state, "cluster"))
    assert gone == f"delete {webhook.KIND} warm-driver-kubeflow --ignore-not-found"
    state = State()
    (applied,) = install(webhooks.target(monkeypatch, state, "cluster"))
    assert applied.startswith("apply --server-side -k")


@pytest.mark.parametrize("delete_data", [False, True])
def test_an_uninstall_takes_the_configuration_away_first(
    monkeypatch: pytest.MonkeyPatch, delete_data: bool
) -> None:
    monkeypatch.setattr(installation, "_users_of", lambda *_: ["another"])
    monkeypatch.setattr("tests.support.webhooks.WarmTarget.items", lambda *_: [])
    state = installed()
    target = webhooks.target(monkeypatch, state)
    installation._uninstall(target, delete_data=delete_data)
    assert state.words()[0] == f"delete {webhook.KIND} warm-driver-kubeflow --ignore-not-found"


def test_a_rotation_makes_a_new_one_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "wait_until_ready", lambda *_, **__: None)
    state = installed()
    rotate._certify(webhooks.target(monkeypatch, state), 1)
    assert state.words() == [
        "patch secret warm-driver-tls --patch-file /dev/stdin",
        RESTART,
        "apply --server-side --filename -",
    ]
    new = state.given("patch")["stringData"][webhook.CRT]
    assert bundle(state) == new != state.secret[webhook.CRT]


def test_a_backup_has_the_other_secrets_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    target = webhooks.target(monkeypatch, installed())
    target.state.workflows = [
        {"kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": name}}
        for name in ("kfp-ingress-tls", webhook.SECRET)
    ]
    assert [s["metadata"]["name"] for s in create._secrets(target)] == ["kfp-ingress-tls"]


def test_without_the_right_to_look_nothing_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    from kfpkit.core.errors import CommandError

    def refuse(_: object) -> None:
        raise CommandError("kubectl get", 1, "forbidden")

    state = State()
    target = webhooks.target(monkeypatch, state)
    monkeypatch.setattr(webhook, "configured", refuse)
    operations.disconnect(target)
    assert state.ran == []
