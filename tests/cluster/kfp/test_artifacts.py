"""Artifacts from outside, large ones, and the logs of pods that are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tests.support.kfp_runs import GREETING

if TYPE_CHECKING:
    from obstore.store import S3Store

    from tests.support.runs import Run

pytestmark = [pytest.mark.kfp, pytest.mark.timeout(1200)]

GIBIBYTE = 2**30


def test_an_imported_artifact_is_read_by_the_next_task(runs: dict[str, Run]) -> None:
    log = runs["imported"].finish().log("read")
    assert GREETING in log
    assert "'from': 'a test'" in log


def test_an_import_from_another_bucket_fails_where_it_is_read(runs: dict[str, Run]) -> None:
    """As docs/use/limits.md says of 2.14.3."""
    run = runs["imported from elsewhere"].finish("FAILED")
    assert run.tasks()["read"] == {"FAILED"}
    assert 'no driver registered for "minio"' in run.log("read")


def test_an_artifact_of_a_gibibyte_reaches_the_next_task_whole(
    runs: dict[str, Run], store: S3Store
) -> None:
    run = runs["large"].finish()
    listed = store.list(f"v2/artifacts/large/{run.id}/write").collect()
    (size,) = (entry["size"] for entry in listed if entry["path"].endswith("/data"))
    assert size == GIBIBYTE
    assert f"{GIBIBYTE} bytes with the hash" in run.log("check")


def test_logs_outlive_their_pods(runs: dict[str, Run]) -> None:
    """Both ways of the API to a log find it, where Kubernetes has nothing any more."""
    run = runs["flow"].finish()
    selector = f"--selector=workflows.argoproj.io/workflow={run.workflow['metadata']['name']}"
    names = {
        pod["metadata"]["annotations"]["workflows.argoproj.io/node-id"]: pod["metadata"]["name"]
        for pod in run.target.items(["pods"], selector)
    }
    run.target.run("delete", "pods", selector, "--wait")
    assert not run.target.items(["pods"], selector)
    (node,) = run.pods("conclude")
    path = f"runs/{run.id}/nodes/{names[node['id']]}/log"
    streamed = requests.get(f"{run.host}/apis/v1alpha1/{path}", timeout=30).text
    assert "13 is medium" in streamed
    assert streamed.split() == run.log("conclude").split()
