"""What is looked at before the overlay for GKE goes anywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kfpkit.core.errors import KitError
from kfpkit.core.versions import ROOT
from kfpkit.kfp.target import Target, choose
from kfpkit.kube import render
from kfpkit.operations import gke

if TYPE_CHECKING:
    from kfpkit.cluster.preflight import Check


@pytest.fixture(scope="module")
def target() -> Target:
    return Target("gke", "nowhere", "kubectl")


def test_it_concerns_the_overlay_for_gke_alone() -> None:
    concerned = {o for o in render.overlays() if gke.concerns(Target(o, "nowhere", "kubectl"))}
    assert concerned == {"gke"}


def test_the_parameters_as_they_come_are_refused(target: Target) -> None:
    mine = dict.fromkeys(gke.parameters_of(target), "mine")
    assert {"gcsBucket", "cloudSqlInstance", "ingressAddressName", *gke.ACCOUNTS} <= mine.keys()
    assert gke.examples(mine).state == "ok"
    asked = gke.examples(gke.parameters_of(target))
    assert asked.state == "failed"
    assert "gcsBucket" in asked.found


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("v1.34.1-gke.1829001", "ok"),
        ("v1.33.5-gke.1080000", "ok"),
        ("v1.32.9-gke.1", "failed"),
        ("v1.34.4", "failed"),
    ],
)
def test_a_cluster_is_gkes_and_not_too_old(version: str, state: str) -> None:
    assert gke.cluster(version).state == state


def test_a_kind_that_is_not_served_is_named(target: Target) -> None:
    served = {(d["apiVersion"], d["kind"]): "x" for d in target.documents}
    assert gke.kinds(target.documents, served).state == "ok"
    del served["networking.gke.io/v1", "ManagedCertificate"]
    lacking = gke.kinds(target.documents, served)
    assert (lacking.state, lacking.found) == (
        "failed",
        "not served: ManagedCertificate (networking.gke.io/v1)",
    )


def test_policies_need_somebody_who_enforces_them_and_pods_an_identity() -> None:
    there = {"anetd", "gke-metadata-server"}
    assert (gke.enforcement(there).state, gke.identity(there).state) == ("ok", "ok")
    assert (gke.enforcement(set()).state, gke.identity(set()).state) == ("failed", "failed")


def test_apis_that_are_not_enabled_are_named() -> None:
    assert gke.apis("\n".join(gke.APIS)).state == "ok"
    assert gke.apis("\n".join(gke.APIS - {"iap.googleapis.com"})).found.endswith(
        "iap.googleapis.com"
    )


def test_the_page_enables_the_apis_that_are_looked_for() -> None:
    page = (ROOT / gke.PAGE).read_text(encoding="utf-8")
    assert not {api for api in gke.APIS if api not in page}


def test_what_is_not_there_is_created_in_the_step_that_is_named_before_the_install(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gke, "_ask", lambda _: None)
    parameters = {**gke.parameters_of(target), "cloudSqlInstance": "project:region:kfp"}
    failed = {c.what: c.do for c in gke._project(parameters, "n") if c.do.startswith(gke.PAGE)}
    page = (ROOT / gke.PAGE).read_text(encoding="utf-8").partition("## 7. Install")[0]
    for what, command in {
        "bucket": "gcloud storage buckets create ",
        "database": "gcloud sql instances create ",
        "address": "gcloud compute addresses create kfp ",
    }.items():
        step = failed[what].rpartition(", ")[2]
        section = page.partition(f"## {step}. ")[2].partition("\n## ")[0]
        assert command in section, what


def test_an_account_acts_as_another_only_by_the_right_role() -> None:
    def judged(role: str, member: str) -> Check:
        policy = json.dumps({"bindings": [{"role": role, "members": [member]}]})
        return gke.acts_as("a@b", "me", policy)

    assert judged("roles/iam.workloadIdentityUser", "me").state == "ok"
    assert judged("roles/iam.workloadIdentityUser", "you").state == "failed"
    assert judged("roles/owner", "me").state == "failed"
    assert gke.acts_as("a@b", "me", "{}").state == "failed"


@pytest.mark.cluster
def test_a_cluster_that_is_not_gkes_is_refused_and_says_why(
    cluster: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KitError, match="is not ready for the overlay gke: parameters; cluster"):
        gke.require(choose("gke", cluster))
    said = "".join(capsys.readouterr())
    assert "not served: BackendConfig (cloud.google.com/v1)" in said
    assert "ok       permissions" in said
    assert "ok       NetworkPolicy: enforced by" in said


def test_the_page_names_the_secrets_the_overlay_needs(target: Target) -> None:
    from kfpkit.kfp import secrets

    page = (ROOT / gke.PAGE).read_text(encoding="utf-8")
    assert not {name for name in secrets.needed(target.documents) if name not in page}
