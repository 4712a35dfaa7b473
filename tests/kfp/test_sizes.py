"""Values of a size between tasks, up to what docs/use/limits.md says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kfpkit.runs import workflow
from tests.kfp.pipelines.sizes import READERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.kfp.runs import Run

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


@pytest.mark.parametrize("which", ENDS, ids=lambda which: f"{which[0]}-{which[1]}")
def test_a_value_arrives_up_to_the_limit(which: Sized, sized: Mapping[Sized, Run]) -> None:
    name, size = which
    run = sized[which].finish(ENDS[which])
    assert f"wrote {size}" in run.log("write")
    if name == "written":
        return
    if ENDS[which] == "SUCCEEDED":
        assert run.printed().count(f"read {size}\n") == (READERS if name == "read_often" else 1)
    else:
        # Where it says why, before KFP's own program runs.
        (node,) = run.pods("measure")
        pod = workflow.pod_name(node)
        said = run.target.query("logs", pod, "--container=main").stdout
        assert "argument list too long" in said


def test_the_state_of_a_large_run_is_compressed(sized: Mapping[Sized, Run]) -> None:
    """Else this says nothing of whether such a state is read."""
    run = sized["read_often", 110_000].finish()
    assert "compressedNodes" in run.workflow["status"]
