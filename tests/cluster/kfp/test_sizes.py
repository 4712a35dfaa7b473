"""Values of a size between tasks, up to what docs/use/limits.md says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from requests import HTTPError

from kfpkit.kfp import workflow
from tests.support.pipelines.sizes import READERS
from tests.support.started import SIZES

if TYPE_CHECKING:
    from obstore.store import S3Store

    from tests.support.runs import Run

pytestmark = [pytest.mark.kfp, pytest.mark.turn(4), pytest.mark.timeout(1800)]


def printed(run: Run, task: str, store: S3Store) -> str:
    """Return what a task's pods printed: the API finds no log of a run with a compressed state."""
    folder = f"artifacts/{run.workflow['metadata']['name']}"
    said = ""
    for node in run.pods(task):
        pod = workflow.pod_name(node)
        if node["phase"] == "Failed":  # It stays, and Argo keeps no log of what did not start.
            said += run.target.query("logs", pod, "--container=main").stdout
        else:
            log = store.get(f"{folder}/{pod}/main.log").bytes()
            said += bytes(log).decode(errors="replace")
    return said


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_a_value_arrives_up_to_the_limit(
    name: str, size: int, runs: dict[str, Run], store: S3Store
) -> None:
    run = runs[f"{name}-{size}"].finish(SIZES[name, size])
    assert f"wrote {size}\n" in printed(run, "write", store)
    if name == "read_often":
        tasks = ["measure", *(f"measure-{n}" for n in range(2, READERS + 1))]
        assert all(f"read {size}\n" in printed(run, task, store) for task in tasks)
    elif SIZES[name, size] == "FAILED":
        assert "argument list too long" in printed(run, "measure", store)
    elif name == "read_once":
        assert f"read {size}\n" in printed(run, "measure", store)


def test_the_api_finds_no_log_of_a_run_with_a_compressed_state(runs: dict[str, Run]) -> None:
    """As docs/use/limits.md says."""
    run = runs["read_often-110000"].finish()
    assert "compressedNodes" in run.workflow["status"]
    with pytest.raises(HTTPError, match="404"):
        run.log("write")
