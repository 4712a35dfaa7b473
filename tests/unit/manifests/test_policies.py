"""The flows of docs/design/flows.md, as rendered."""

from __future__ import annotations

import pytest

from tests.support import flows
from tests.support.policies import WITH_POLICIES, options_of
from tests.support.renders import SUBJECTS, rendered


@pytest.mark.parametrize("name", WITH_POLICIES)
def test_the_policies_are_the_page(name: str) -> None:
    documents = rendered(name)
    parts = flows.parts(documents)
    told = flows.told(parts, options_of(name))

    assert flows.allowed(documents, "egress") == {f for f in told if f.source in parts}
    assert flows.allowed(documents, "ingress") == {f for f in told if f.target in parts}


@pytest.mark.parametrize("name", WITH_POLICIES)
def test_what_no_policy_allows_is_denied_and_no_list_is_empty(name: str) -> None:
    policies = {
        d["metadata"]["name"]: d["spec"] for d in rendered(name) if d["kind"] == "NetworkPolicy"
    }
    both = ["Ingress", "Egress"]
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": both}
    for policy, spec in policies.items():
        # An empty list is dropped by the API server, and each apply of it is a change.
        assert [] not in spec.values(), policy
        assert spec["policyTypes"] == both or policy == "dns"


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_policy_of_an_option_of_its_own_lets_names_be_asked_for(name: str) -> None:
    """It is there without the option network-policies too, whose policy `dns` would do it."""
    for policy in rendered(name):
        labels = policy["metadata"].get("labels", {})
        if policy["kind"] != "NetworkPolicy" or "app.kubernetes.io/component" in labels:
            continue
        if "Egress" in policy["spec"]["policyTypes"]:
            ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]
            assert ports.count(53) == 2, policy["metadata"]["name"]


def test_every_overlay_of_ours_has_them() -> None:
    overlays = {name for name in SUBJECTS if name.startswith("overlays/")}
    assert overlays
    assert overlays <= set(WITH_POLICIES)


def test_each_option_with_a_row_is_tried_with_the_policies() -> None:
    used = set().union(*map(options_of, WITH_POLICIES))
    assert flows.options_told() <= used
