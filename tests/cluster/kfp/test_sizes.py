"""Values of a size between tasks, up to what docs/use/limits.md says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from requests import HTTPError

from kfpkit.kfp import workflow
from tests.support.pipelines.sizes import READERS
from tests.support.started import SIZES

if TYPE_CHECKING:
    from tests.support.runs import Run

pytestmark = [pytest.mark.kfp, pytest.mark.turn(4), pytest.mark.timeout(1800)]


def printed(run: Run, task: str) -> str:
    """Return what a task's pods printed: the API finds no log of a run with a compressed state."""
    names = [workflow.pod_name(node) for node in run.pods(task)]
    return "".join(run.target.query("logs", name, "--container=main").stdout for name in names)


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_a_value_arrives_up_to_the_limit(name: str, size: int, runs: dict[str, Run]) -> None:
    run = runs[f"{name}-{size}"].finish(SIZES[name, size])
    assert f"wrote {size}\n" in printed(run, "write")
    if name == "read_often":
        tasks = ["measure", *(f"measure-{n}" for n in range(2, READERS + 1))]
        assert all(f"read {size}\n" in printed(run, task) for task in tasks)
    elif SIZES[name, size] == "FAILED":
        assert "argument list too long" in printed(run, "measure")
    elif name == "read_once":
        assert f"read {size}\n" in printed(run, "measure")


def test_the_api_finds_no_log_of_a_run_with_a_compressed_state(runs: dict[str, Run]) -> None:
    """As docs/use/limits.md says."""
    run = runs["read_often-110000"].finish()
    assert "compressedNodes" in run.workflow["status"]
    with pytest.raises(HTTPError, match="404"):
        run.log("write")
