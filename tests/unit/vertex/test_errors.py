"""Each error of the API in one line that says what to do, as Google's client meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core.errors import BadInputError, KitError
from kfpkit.kfp import pipelines
from kfpkit.runs import refusals
from kfpkit.vertex import client, jobs, schedules
from tests.support.vertex.server import BUCKET, Job, StandIn, target

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kfp.targets_file import Vertex

# Google's client takes half a minute to import on a busy machine.
pytestmark = pytest.mark.timeout(600)


def submit(where: Vertex) -> str:
    found = pipelines.find("tests/support/pipelines/hello.py")
    _, given = refusals.admit(found, [], {})
    job = jobs.prepare(where, found, given, name="hello", cache=True)
    return jobs.submit(where, job, "")


def refusal(stand_in: StandIn, **more: str) -> KitError:
    with pytest.raises(KitError) as refused:
        submit(target(stand_in, **more))
    assert "\n" not in str(refused.value)
    assert "http://" not in str(refused.value)
    assert not stand_in.jobs
    return refused.value


@pytest.mark.parametrize(
    ("status", "said", "what", "do"),
    [
        (400, "Invalid GCS output directory", "Invalid GCS output directory", "pipeline_root"),
        (400, "The DAG has a cycle", "The DAG has a cycle", ""),
        (
            403,
            "Permission 'aiplatform.pipelineJobs.create' denied",
            "pipelineJobs.create",
            "roles/aiplatform.user",
        ),
        (
            403,
            "Vertex AI API has not been used in project 1 before or it is disabled",
            "not been used",
            "gcloud services enable aiplatform.googleapis.com --project=stand-in-project",
        ),
        (
            403,
            "You do not have permission to act as service account: x",
            "act as",
            "roles/iam.serviceAccountUser",
        ),
        (
            403,
            "Service account does not have `[storage.objects.get]` IAM permission(s) to the bucket",
            "storage.objects.get",
            f"roles/storage.objectUser on gs://{BUCKET}",
        ),
        (409, "Requested entity already exists", "already", "Try again"),
        (
            429,
            "Quota exceeded for quota metric 'Pipeline jobs' and limit 'per minute'",
            "a quota of stand-in-project in europe-west4 is used up",
            "Quotas",
        ),
        (500, "Internal error encountered", "an error of its own", "later"),
        (503, "The service is currently unavailable", "an error of its own", "later"),
    ],
)
def test_what_the_api_refuses(
    stand_in: StandIn, status: int, said: str, what: str, do: str
) -> None:
    stand_in.refuse(status, said, method="POST")
    error = refusal(stand_in)
    assert what in error.what
    assert do in error.do


def test_another_project(stand_in: StandIn) -> None:
    assert "roles/aiplatform.user in other-project" in refusal(stand_in, project="other-project").do


def test_nobody_but_the_target_is_asked(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Google's client would ask another of its services, which is silent behind a proxy."""
    asked = []
    client_of_projects = "google.cloud.resourcemanager_v3.ProjectsClient"
    monkeypatch.setattr(f"{client_of_projects}.get_project", lambda *a, **b: asked.append((a, b)))
    stand_in.refuse(409, "Requested entity already exists", method="POST")
    refusal(stand_in)
    assert not asked


def test_a_location_where_the_project_is_not(stand_in: StandIn) -> None:
    error = refusal(stand_in, location="us-central1")
    assert "Error 404 (Not Found)" in error.what
    assert "location of [stand-in]" in error.do


def test_a_location_that_is_none(stand_in: StandIn) -> None:
    error = refusal(stand_in, location="europe-west99")
    assert error.what == "Vertex AI has no location 'europe-west99'"


def test_a_bucket_that_is_not_there_is_not_made(stand_in: StandIn) -> None:
    error = refusal(stand_in, pipeline_root="gs://no-such-bucket/x")
    assert "no-such-bucket" in error.what
    assert "gcloud storage buckets create gs://no-such-bucket" in error.do
    assert {method for method, _, _ in stand_in.requests} == {"GET"}


def test_an_address_where_nothing_answers(stand_in: StandIn) -> None:
    from google.api_core import exceptions

    retry_error: Any = exceptions.RetryError
    # What two minutes of asking again end with.
    ends = (ConnectionError("refused"), retry_error("Timeout", ConnectionError("refused")))
    for raised in ends:
        with pytest.raises(client.SilentError) as refused, client.answers(target(stand_in), "it"):
            raise raised
        assert refused.value.what == f"{stand_in.address} does not answer: refused"


def test_no_credentials(stand_in: StandIn) -> None:
    from google.api_core.exceptions import from_http_status
    from google.auth import exceptions

    for raised, said in (
        (exceptions.DefaultCredentialsError("not found"), "has no credentials for Google Cloud"),
        (exceptions.RefreshError("Reauthentication is needed"), "Reauthentication is needed"),
        (from_http_status(401, "Request had invalid credentials"), "invalid credentials"),
    ):
        with pytest.raises(KitError, match=said) as refused, client.answers(target(stand_in), "it"):
            raise raised
        assert "gcloud auth application-default login" in refused.value.do


def test_a_run_that_is_not_there(stand_in: StandIn) -> None:
    for run in ("hello-1", "projects/stand-in-project/locations/europe-west4/pipelineJobs/hello-1"):
        with pytest.raises(BadInputError, match="does not exist"):
            jobs.existing(target(stand_in), run)


def test_a_run_of_another_schema(stand_in: StandIn, tmp_path: Path) -> None:
    name = "projects/stand-in-project/locations/europe-west4/pipelineJobs/old-1"
    old = {"name": name, "state": "PIPELINE_STATE_SUCCEEDED", "pipelineSpec": {"root": {}}}
    for schema in ({"schemaVersion": "2.0.0"}, {}):
        old["pipelineSpec"] = schema
        stand_in.jobs[name] = Job(old, tmp_path)
        with pytest.raises(KitError, match=r"and the kit reads 2\.1\.0"):
            jobs.existing(target(stand_in), "old-1")


@pytest.mark.parametrize("run", ["", "a b", "../x", "é"])
def test_an_id_that_is_none(stand_in: StandIn, run: str) -> None:
    with pytest.raises(BadInputError):
        jobs.existing(target(stand_in), run)


def test_a_quota_while_a_run_is_followed_is_waited_for(stand_in: StandIn) -> None:
    assert issubclass(client.SilentError, KitError)
    stand_in.refuse(429, "Quota exceeded", method="GET")
    with pytest.raises(client.SilentError):
        schedules.listed(target(stand_in))
    assert schedules.listed(target(stand_in)) == []
