"""The sample from Python and from YAML: one pipeline in two forms, with the same results."""

from __future__ import annotations

import json
import runpy
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from kfp import local
from kfp.dsl.executor import Executor
from kfp.local.status import Status
from kfp.local.subprocess_task_handler import SubprocessTaskHandler

from kfpkit.kfp import pipelines

if TYPE_CHECKING:
    from pathlib import Path

FORMS = ("penguins", "penguins_yaml")


def ir(module: str) -> dict[str, Any]:
    return dict(yaml.safe_load((pipelines.GOLDEN / f"{module}.yaml").read_text()))


def without_descriptions(value: Any) -> Any:
    """Return the value without those: kfp drops the ones of a component's YAML."""
    if isinstance(value, dict):
        return {
            key: without_descriptions(item)
            for key, item in value.items()
            if not (key == "description" and isinstance(item, str))
        }
    return value


def test_parameters_and_their_descriptions_are_the_same() -> None:
    left, right = (ir(module)["root"]["inputDefinitions"] for module in FORMS)
    assert left == right


def test_the_tasks_and_what_flows_between_them_are_the_same() -> None:
    left, right = (ir(module)["root"]["dag"] for module in FORMS)
    assert left == right


def test_the_components_have_the_same_interfaces() -> None:
    left, right = (without_descriptions(ir(module)["components"]) for module in FORMS)
    assert left == right


def test_the_tasks_run_in_the_same_image_with_the_same_limits() -> None:
    left, right = (
        {
            name: (executor["container"]["image"], executor["container"]["resources"])
            for name, executor in ir(module)["deploymentSpec"]["executors"].items()
        }
        for module in FORMS
    )
    assert left == right


def in_this_process(handler: SubprocessTaskHandler) -> Status:
    """Run a task's command here, where all libraries are loaded already.

    All else is kfp's own: filling the command line in, and reading what the task reports.
    """
    command = handler.full_command
    if command[:2] == ["python3", "-m"]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", command[2:])
            runpy.run_module(command[2], run_name="__main__")
    else:
        name = command[command.index("--function_to_execute") + 1]
        function = getattr(import_module(f"components.{name}.component"), name)
        Executor(json.loads(command[command.index("--executor_input") + 1]), function).execute()
    return Status.SUCCESS


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run both forms with kfp's local runner; return the folder with the tasks' folders, by form.

    The runner refuses container components, because it cannot give them their image; here the
    environment is the image's.
    """
    folders = {}
    for module in FORMS:
        root = tmp_path_factory.mktemp(module)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                SubprocessTaskHandler, "validate_not_container_component", lambda *_: None
            )
            patch.setattr(SubprocessTaskHandler, "run", in_this_process)
            local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(root))
            pipelines.find(module).func(seed=7, n_estimators=20, max_depth=4)
        [folders[module]] = root.iterdir()
    return folders


@pytest.mark.filterwarnings("ignore:.*have no effect in the current local runner:UserWarning")
def test_both_forms_write_the_same_artifacts_and_metadata(outputs: dict[str, Path]) -> None:
    found = []
    for module in FORMS:
        folder = outputs[module]
        contents: dict[str, object] = {}
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = str(file.relative_to(folder))
            if file.name == "executor_output.json":
                artifacts = json.loads(file.read_text()).get("artifacts", {})
                metadata = {key: value["artifacts"][0] for key, value in artifacts.items()}
                for artifact in metadata.values():
                    artifact["uri"] = artifact["uri"].replace(str(folder), "")
                if metadata:
                    contents[name] = metadata
            else:
                contents[name] = file.read_bytes()
        found.append(contents)
    assert {"evaluate/report", "train/model", "transform/executor_output.json"} <= set(found[0])
    assert found[0] == found[1]
