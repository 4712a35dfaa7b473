"""What is looked at before the overlay for GKE goes anywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kfpkit.core.versions import ROOT
from kfpkit.kfp.target import Target
from kfpkit.kube import render
from kfpkit.operations import gke

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.core.findings import Finding


@pytest.fixture(scope="module")
def target() -> Target:
    return Target("gke", "nowhere", "kubectl")


def test_it_concerns_the_overlay_for_gke_alone() -> None:
    concerned = {o for o in render.overlays() if gke.concerns(Target(o, "nowhere", "kubectl"))}
    assert concerned == {"gke"}


def test_the_parameters_as_they_come_are_refused(target: Target) -> None:
    given = gke.parameters_of(target)
    asked = gke.examples(given)
    assert asked.verdict == "fault"
    for name, value in given.items():
        assert ("example" in value) == (name in asked.evidence), name
    mine = dict.fromkeys(given, "mine")
    assert {"gcsBucket", "cloudSqlInstance", "ingressAddressName", *gke.ACCOUNTS} <= mine.keys()
    assert gke.examples(mine).verdict == "ok"


def test_a_value_of_mine_may_have_the_word_example_in_it() -> None:
    mine = {
        "gcsBucket": "counterexamples",
        "cloudSqlInstance": "example-project-7:europe-west1:kfp",
        "ingressHost": "kfp.example.org",
    }
    assert gke.examples(mine).verdict == "ok"
    assert gke.examples({**mine, "ingressHost": "kfp.example.com"}).evidence.endswith(
        ": ingressHost"
    )


def test_parameters_are_what_the_overlay_has_of_them(tmp_path: Path) -> None:
    def read(text: str) -> dict[str, str]:
        (tmp_path / "parameters.yaml").write_text(text, encoding="utf-8")
        return gke.parameters_of(overlay)

    (tmp_path / "kustomization.yaml").touch()
    overlay = Target(str(tmp_path), "nowhere", "kubectl")
    assert gke.parameters_of(overlay) == {}
    assert gke.examples({}).verdict == "warning"
    named = "kind: ConfigMap\nmetadata: {name: parameters}\n"
    assert read(f"{named}data:\n") == {}
    assert read(f"{named}data: {{gpuLimit: 2}}\n---\nmetadata: {{name: x}}\ndata: {{a: b}}\n") == {
        "gpuLimit": "2"
    }


#: A project by each parameter that names one.
PROJECTS = {
    "cloudSqlInstance": "mine:europe-west1:kfp",
    "uiServiceAccount": "ui@mine.iam.gserviceaccount.com",
}


@pytest.mark.parametrize(
    ("parameters", "looked_at"),
    [
        ({"ingressAddressName": "kfp", "ingressHost": "a.b"}, {"APIs", "address"}),
        ({"gcsBucket": "b"}, {"APIs", "bucket"}),
        ({"gpuLimit": "2"}, {"APIs"}),
        ({"cloudSqlInstance": PROJECTS["cloudSqlInstance"]}, {"APIs", "database"}),
        ({"cloudSqlInstance": "no instance"}, {"APIs", "database"}),
        (
            {"uiServiceAccount": PROJECTS["uiServiceAccount"]},
            {"APIs", PROJECTS["uiServiceAccount"]},
        ),
        ({}, {"APIs"}),
    ],
)
def test_an_overlay_is_asked_for_what_its_own_options_need(
    parameters: dict[str, str], looked_at: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def ask(argv: list[str]) -> str | None:
        asked.append(argv)
        return "mine\n" if argv[:3] == ["gcloud", "config", "get-value"] else None

    monkeypatch.setattr(gke, "_ask", ask)
    assert {check.subject for check in gke._project(parameters, "n")} == looked_at
    assert "--project=mine" in asked[-1] or "gs://b" in asked[-1]


def test_a_project_that_nothing_names_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gke, "_ask", lambda _: "")
    (check,) = gke._project({"ingressAddressName": "kfp"}, "n")
    assert (check.subject, check.verdict) == ("project", "warning")


@pytest.mark.parametrize(
    ("parameters", "project"),
    [
        *(({name: value}, "mine") for name, value in PROJECTS.items()),
        ({"cloudSqlInstance": "example.com:mine:europe-west1:kfp"}, "example.com:mine"),
        ({"uiServiceAccount": "7-compute@developer.gserviceaccount.com"}, ""),
        ({"gcsBucket": "mine"}, ""),
    ],
)
def test_the_project_is_that_of_an_instance_or_an_account(
    parameters: dict[str, str], project: str
) -> None:
    assert gke.project(parameters) == project


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("v1.34.1-gke.1829001", "ok"),
        ("v1.33.5-gke.1080000", "ok"),
        ("v1.32.9-gke.1", "fault"),
        ("v1.34.4", "fault"),
    ],
)
def test_a_cluster_is_gkes_and_not_too_old(version: str, state: str) -> None:
    assert gke.cluster(version).verdict == state


def test_a_kind_that_is_not_served_is_named(target: Target) -> None:
    served = {(d["apiVersion"], d["kind"]): "x" for d in target.documents}
    assert gke.kinds(target.documents, served).verdict == "ok"
    del served["networking.gke.io/v1", "ManagedCertificate"]
    lacking = gke.kinds(target.documents, served)
    assert (lacking.verdict, lacking.evidence) == (
        "fault",
        "not served: ManagedCertificate (networking.gke.io/v1)",
    )


def test_policies_need_somebody_who_enforces_them_and_pods_an_identity() -> None:
    there = {"anetd", "gke-metadata-server"}
    assert (gke.enforcement(there).verdict, gke.identity(there).verdict) == ("ok", "ok")
    assert (gke.enforcement(set()).verdict, gke.identity(set()).verdict) == ("fault", "fault")


def test_apis_that_are_not_enabled_are_named_where_an_option_needs_them() -> None:
    every = set().union(*gke.APIS.values())
    assert gke.apis(dict.fromkeys(gke.APIS, "mine"), "\n".join(every)).verdict == "ok"
    without = "\n".join(every - {"iap.googleapis.com"})
    behind = {"ingressAddressName": "kfp"}
    assert gke.apis(behind, without).evidence.endswith("not enabled: iap.googleapis.com")
    assert gke.apis({"gcsBucket": "b"}, without).verdict == "ok"


def test_the_page_enables_the_apis_that_are_looked_for() -> None:
    page = (ROOT / gke.PAGE).read_text(encoding="utf-8")
    assert not {api for apis in gke.APIS.values() for api in apis if api not in page}


def test_what_is_not_there_is_created_in_the_step_that_is_named_before_the_install(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gke, "_ask", lambda _: None)
    parameters = {**gke.parameters_of(target), "cloudSqlInstance": "project:region:kfp"}
    failed = {
        c.subject: c.command
        for c in gke._project(parameters, "n")
        if c.command.startswith(gke.PAGE)
    }
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
    def judged(role: str, member: str) -> Finding:
        policy = json.dumps({"bindings": [{"role": role, "members": [member]}]})
        return gke.acts_as("a@b", "me", policy)

    assert judged("roles/iam.workloadIdentityUser", "me").verdict == "ok"
    assert judged("roles/iam.workloadIdentityUser", "you").verdict == "fault"
    assert judged("roles/owner", "me").verdict == "fault"
    assert gke.acts_as("a@b", "me", "{}").verdict == "fault"


def test_the_page_names_the_secrets_the_overlay_needs(target: Target) -> None:
    from kfpkit.kfp import secrets

    page = (ROOT / gke.PAGE).read_text(encoding="utf-8")
    assert not {name for name in secrets.needed(target.documents) if name not in page}
