"""Runs on this machine whose tasks need containers."""

# No postponed annotations here: kfp reads them at run time.
# mypy: disable-error-code="untyped-decorator"
from pathlib import Path

import pytest
from google.protobuf import json_format

from components.image import RUNTIME_IMAGE
from kfpkit.core import process
from kfpkit.core.errors import KitError
from kfpkit.kfp.run import State
from kfpkit.runs.local import run as local
from tests.support.local_runs import containing, go, shouting


@pytest.mark.docker
def test_without_its_image_a_container_component_is_refused() -> None:
    with pytest.raises(KitError, match="the image kfpkit/no-such-image:0, which the Docker engine"):
        local.needs_containers(json_format.MessageToDict(shouting.pipeline_spec))


@pytest.mark.docker
def test_a_container_ends_as_its_exit_code_says(tmp_path: Path) -> None:
    if not process.query(["docker", "image", "inspect", RUNTIME_IMAGE], check=False).ok:
        pytest.skip(f"the Docker engine has no image {RUNTIME_IMAGE}")
    good, bad = go(containing, tmp_path).tasks
    assert (good.state, good.outputs) == (State.SUCCEEDED, {"count": 3})
    assert good.artifacts[0].path == "outputs/write/table"
    assert (bad.state, bad.error) == (State.FAILED, "got <7>\npart\nexit code 7")


@pytest.mark.docker
def test_the_sample_from_yaml_runs_in_containers(tmp_path: Path) -> None:
    from kfpkit.kfp import pipelines

    if not process.query(["docker", "image", "inspect", RUNTIME_IMAGE], check=False).ok:
        pytest.skip(f"the Docker engine has no image {RUNTIME_IMAGE}")
    run = go(pipelines.find("penguins_yaml").func, tmp_path)
    assert run.state is State.SUCCEEDED, [task.error for task in run.failed] or run.error
    assert any("accuracy" in a.metadata for task in run.tasks for a in task.artifacts)
