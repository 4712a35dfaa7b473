"""Artifacts from outside, large ones, and the logs of pods that are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from kfpkit.kfp.workflow import Workflow
from tests.support.runs import GREETING
from tests.support.started import MEBIBYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from obstore.store import S3Store

    from tests.support.runs import Run

pytestmark = [pytest.mark.kfp, pytest.mark.turn(4), pytest.mark.timeout(1200)]


def test_an_imported_artifact_is_read_by_the_next_task(runs: dict[str, Run]) -> None:
    log = runs["imported"].finish().log("read")
    assert GREETING in log
    assert "'from': 'a test'" in log


def test_an_import_from_another_bucket_fails_where_it_is_read(runs: dict[str, Run]) -> None:
    """As docs/use/limits.md says of 2.14.3."""
    run = runs["imported from elsewhere"].finish("FAILED")
    assert run.tasks()["read"] == {"FAILED"}
    assert 'no driver registered for "minio"' in run.log("read")


def arrived_whole(run: Run, store: S3Store, size: int) -> None:
    """Fail unless the artifact of a run of `large` has as many bytes in the store and after it."""
    listed = store.list(f"v2/artifacts/large/{run.id}/write").collect()
    assert [entry["size"] for entry in listed if entry["path"].endswith("/data")] == [size]
    assert f"{size} bytes with the hash" in run.log("check")


def test_a_large_artifact_reaches_the_next_task_whole(runs: dict[str, Run], store: S3Store) -> None:
    arrived_whole(runs["large"].finish(), store, MEBIBYTES * 2**20)


@pytest.mark.long
def test_an_artifact_of_a_gibibyte_reaches_the_next_task_whole(
    start: Callable[..., Run], compiled: Callable[..., Path], store: S3Store
) -> None:
    run = start(compiled("large", "large"), {"mebibytes": 1024})
    try:
        arrived_whole(run.finish(), store, 2**30)
    finally:
        for entry in store.list(f"v2/artifacts/large/{run.id}").collect():
            store.delete(entry["path"])


def test_logs_outlive_their_pods(runs: dict[str, Run]) -> None:
    """Both ways of the API to a log find it, where Kubernetes has nothing any more."""
    run = runs["flow"].finish()
    selector = f"--selector=workflows.argoproj.io/workflow={run.workflow['metadata']['name']}"
    # Of a run that ended minutes ago the pods are gone already.
    names = {node.id: node.pod for node in Workflow(run.workflow).nodes}
    run.target.run("delete", "pods", selector, "--wait")
    assert not run.target.items(["pods"], selector)
    (node,) = run.pods("conclude")
    path = f"runs/{run.id}/nodes/{names[node['id']]}/log"
    streamed = requests.get(f"{run.host}/apis/v1alpha1/{path}", timeout=30).text
    assert "13 is medium" in streamed
    assert streamed.split() == run.log("conclude").split()
