"""Each compiled pipeline but one is one that KFP and Vertex AI Pipelines accept alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from kfpkit.kfp import pipelines

if TYPE_CHECKING:
    from pathlib import Path

#: Made for KFP on Kubernetes alone: it takes Secrets, which are a second document.
KUBERNETES = "penguins_push"

FILES = sorted(file for file in pipelines.GOLDEN.glob("*.yaml") if file.stem != KUBERNETES)


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def text(request: pytest.FixtureRequest) -> str:
    file: Path = request.param
    return file.read_text(encoding="utf-8")


@pytest.fixture
def ir(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text))


def test_it_is_one_document_without_a_platform_part(text: str) -> None:
    """Vertex reads exactly one document; KFP's own settings would be in a second."""
    [document] = yaml.safe_load_all(text)
    assert set(document) == {
        "components",
        "deploymentSpec",
        "pipelineInfo",
        "root",
        "schemaVersion",
        "sdkVersion",
    }


def test_the_schema_is_the_one_that_kfp_accepts(ir: dict[str, Any]) -> None:
    assert ir["schemaVersion"] == "2.1.0"


def test_the_name_makes_a_vertex_job_id(ir: dict[str, Any]) -> None:
    """A job's id is the name, a hyphen and 14 digits, 128 characters at most."""
    assert re.fullmatch(r"[a-z][-a-z0-9]{0,112}", ir["pipelineInfo"]["name"])


def test_it_aims_at_no_object_store(ir: dict[str, Any], text: str) -> None:
    """The pipeline root is given when a run is started: the form of a run would show this one."""
    assert "defaultPipelineRoot" not in ir
    assert not re.findall(r"(?:s3|gs|minio)://", text)


def test_every_image_has_a_tag_and_could_be_in_any_registry(ir: dict[str, Any]) -> None:
    for executor in ir["deploymentSpec"]["executors"].values():
        image = executor["container"]["image"]
        assert not image.startswith(("localhost", "127.", "kind-registry"))
        assert re.search(r":(?!latest$)[\w][\w.-]*$", image)


def test_every_field_is_in_the_published_specification(ir: dict[str, Any]) -> None:
    """Strictly, as KFP's server reads it; the deployment part has a message of its own."""
    json_format.ParseDict(ir, pipeline_spec_pb2.PipelineSpec())
    deployment = pipeline_spec_pb2.PipelineDeploymentConfig()
    json_format.ParseDict(ir["deploymentSpec"], deployment)
    assert len(deployment.executors) == len(ir["components"])


def test_tasks_and_executors_use_only_what_both_know(ir: dict[str, Any]) -> None:
    for executor in ir["deploymentSpec"]["executors"].values():
        assert set(executor) == {"container"}
        assert set(executor["container"]) == {"args", "command", "image", "resources"}
    for task in ir["root"]["dag"]["tasks"].values():
        assert set(task) <= {
            "cachingOptions",
            "componentRef",
            "dependentTasks",
            "inputs",
            "taskInfo",
        }
    for component in ir["components"].values():
        for parameter in component.get("inputDefinitions", {}).get("parameters", {}).values():
            assert "literals" not in parameter


def test_every_parameter_has_a_default(ir: dict[str, Any]) -> None:
    """A run needs no input to start."""
    for name, parameter in ir["root"]["inputDefinitions"]["parameters"].items():
        assert "defaultValue" in parameter, name


def test_every_task_is_limited(ir: dict[str, Any]) -> None:
    for executor in ir["deploymentSpec"]["executors"].values():
        resources = executor["container"]["resources"]
        assert {"resourceCpuLimit", "resourceMemoryLimit"} <= set(resources)


def test_nothing_is_installed_when_a_task_runs(text: str) -> None:
    assert "pip install" not in text
    assert "pip_install" not in text
