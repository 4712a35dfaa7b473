"""The webhook's certificate and configuration, and what tells that it is passed over."""

from __future__ import annotations

import base64
import json
import ssl
from datetime import timedelta
from typing import TYPE_CHECKING

import kubernetes_validate
import pytest

from kfpkit.kfp import webhook
from tests.support import webhooks
from tests.support.webhooks import NAMESPACE, State, installed

if TYPE_CHECKING:
    from pathlib import Path

HOST = "warm-driver.kubeflow.svc"


def shake(folder: Path, values: dict[str, str], trusted: str, host: str) -> str:
    """Return the version of TLS that a server with these values and a client agree on."""
    for key, value in values.items():
        (folder / key).write_text(value)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / webhook.CRT, folder / webhook.KEY)
    asking = ssl.create_default_context(cadata=trusted)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(back, there, server_hostname=host)
    server = serving.wrap_bio(there, back, server_side=True)
    for one in (client, server, client, server):
        try:
            one.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.version() or ""


def test_who_trusts_the_certificate_connects_to_that_host_alone(tmp_path: Path) -> None:
    values, others = webhook.certificate(NAMESPACE), webhook.certificate(NAMESPACE)
    assert shake(tmp_path, values, values[webhook.CRT], HOST) == "TLSv1.3"
    for trusted, host in ((others, HOST), (values, "warm-driver.elsewhere.svc")):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake(tmp_path, values, trusted[webhook.CRT], host)


def test_a_new_one_is_well_for_ten_years_less_a_day() -> None:
    values = webhook.certificate(NAMESPACE)
    assert webhook.fault_of(values, NAMESPACE, webhook.LASTS - timedelta(days=1)) == ""
    fault = webhook.fault_of(values, NAMESPACE, webhook.LASTS + timedelta(days=1))
    assert fault.startswith("the certificate ends 20")


def test_each_fault_of_a_certificate_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    well = webhook.certificate(NAMESPACE)
    monkeypatch.setattr(webhook, "LASTS", timedelta(minutes=-1))
    over = webhook.certificate(NAMESPACE)
    for values, told in (
        ({}, "there is no Secret warm-driver-tls"),
        ({webhook.CRT: well[webhook.CRT]}, "there is no Secret warm-driver-tls"),
        ({**well, webhook.CRT: "x"}, "cannot be read"),
        ({**well, webhook.KEY: over[webhook.KEY]}, "is not that of its certificate"),
        (webhook.certificate("elsewhere"), "is not for warm-driver.kubeflow.svc"),
        (over, "the certificate ended"),
    ):
        assert told in webhook.fault_of(values, NAMESPACE, webhook.SOON)


@pytest.mark.parametrize("kubernetes", ["1.33", "1.34", "1.35"])
def test_the_configuration_is_valid_and_lets_workflows_through(kubernetes: str) -> None:
    made = json.loads(webhook.configuration("mine", "certificate"))
    kubernetes_validate.validate(made, kubernetes, strict=True)
    (hook,) = made["webhooks"]

    assert made["metadata"]["name"] == "warm-driver-mine"
    assert (hook["failurePolicy"], hook["timeoutSeconds"]) == ("Ignore", 2)
    assert hook["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "mine"}
    assert hook["clientConfig"]["service"]["namespace"] == "mine"
    assert base64.b64decode(hook["clientConfig"]["caBundle"]) == b"certificate"
    (rule,) = hook["rules"]
    assert (rule["resources"], rule["operations"]) == (["workflows"], ["CREATE"])


def told(monkeypatch: pytest.MonkeyPatch, state: State) -> list[str]:
    found = list(webhook.troubles(webhooks.target(monkeypatch, state)))
    assert {str(finding.verdict) for finding in found} <= {"warning"}
    return [f"{finding.evidence} ({finding.command})" for finding in found]


def test_where_all_is_well_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, installed()) == []


def test_each_reason_of_driver_pods_is_told_with_what_mends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = installed()
    state.configuration = None
    (said,) = told(monkeypatch, state)
    assert "there is no mutatingwebhookconfiguration warm-driver-kubeflow (make install)" in said

    state = installed()
    state.secret = webhook.certificate(NAMESPACE)
    (said,) = told(monkeypatch, state)
    assert said.startswith("runs use driver pods: the caBundle")
    assert said.endswith("(make install)")

    state = installed()
    state.ready = False
    (said,) = told(monkeypatch, state)
    assert "no pod of warm-driver is ready" in said

    for values in ({}, webhook.certificate("elsewhere")):
        state = installed()
        state.secret = values
        (said,) = told(monkeypatch, state)
        assert said.startswith("runs use driver pods: ")
        assert said.endswith("(make install)")


def test_a_certificate_that_ends_soon_is_told_while_drivers_have_no_pods(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook, "LASTS", webhook.SOON - timedelta(days=1))
    (said,) = told(monkeypatch, installed())
    assert said.startswith("the certificate ends ")
    assert said.endswith("(make install)")
