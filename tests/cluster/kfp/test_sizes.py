"""Values of a size between tasks, up to what docs/use/limits.md says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from requests import HTTPError

from kfpkit.kfp import workflow
from tests.support.pipelines.sizes import READERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.support.runs import Run

pytestmark = [pytest.mark.kfp, pytest.mark.timeout(1800)]

#: By pipeline and size in bytes, how the run ends.
ENDS = {
    ("read_often", 110_000): "SUCCEEDED",
    # More than Argo keeps in a variable of the pod's, less than Linux takes as an argument.
    ("read_once", 130_000): "SUCCEEDED",
    ("read_once", 300_000): "FAILED",
    ("read_once", 1_000_000): "FAILED",
    ("written", 1_000_000): "SUCCEEDED",
}

Sized = tuple[str, int]


@pytest.fixture(scope="module")
def sized(start: Callable[..., Run], compiled: Callable[..., Path]) -> Mapping[Sized, Run]:
    """The runs, all started at once."""
    return {(name, size): start(compiled("sizes", name), {"size": size}) for name, size in ENDS}


def printed(run: Run, task: str) -> str:
    """Return what a task's pods printed: the API finds no log of a run with a compressed state."""
    names = [workflow.pod_name(node) for node in run.pods(task)]
    return "".join(run.target.query("logs", name, "--container=main").stdout for name in names)


@pytest.mark.parametrize("which", ENDS, ids=lambda which: f"{which[0]}-{which[1]}")
def test_a_value_arrives_up_to_the_limit(which: Sized, sized: Mapping[Sized, Run]) -> None:
    name, size = which
    run = sized[which].finish(ENDS[which])
    assert f"wrote {size}\n" in printed(run, "write")
    if name == "read_often":
        tasks = ["measure", *(f"measure-{n}" for n in range(2, READERS + 1))]
        assert all(f"read {size}\n" in printed(run, task) for task in tasks)
    elif ENDS[which] == "FAILED":
        assert "argument list too long" in printed(run, "measure")
    elif name == "read_once":
        assert f"read {size}\n" in printed(run, "measure")


def test_the_api_finds_no_log_of_a_run_with_a_compressed_state(sized: Mapping[Sized, Run]) -> None:
    """As docs/use/limits.md says."""
    run = sized["read_once", 1_000_000].finish("FAILED")
    assert "compressedNodes" in run.workflow["status"]
    with pytest.raises(HTTPError, match="404"):
        run.log("write")
