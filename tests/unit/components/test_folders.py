"""Every component's folder: its parts are there and say the same."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from components import image
from components.load import FOLDER, load
from kfpkit.core import process
from kfpkit.core.versions import ROOT
from kfpkit.images import recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = sorted(file.parent.name for file in FOLDER.glob("*/component.yaml"))


def test_every_folder_is_a_component() -> None:
    assert [file.parent.name for file in sorted(FOLDER.glob("*/__init__.py"))] == NAMES


def python_component(name: str) -> Any:
    return getattr(import_module(f"components.{name}.component"), name)


def specification(name: str) -> dict[str, Any]:
    text = (FOLDER / name / "component.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def interface(specs: Mapping[str, Any] | None) -> dict[str, tuple[object, object]]:
    return {
        name: (spec.type, getattr(spec, "default", None)) for name, spec in (specs or {}).items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_yaml_and_python_have_the_same_interface(name: str) -> None:
    left, right = python_component(name).component_spec, load(name).component_spec
    assert left.name == right.name
    assert interface(left.inputs) == interface(right.inputs)
    assert interface(left.outputs) == interface(right.outputs)


@pytest.mark.parametrize("name", NAMES)
def test_yaml_and_python_describe_it_in_the_same_words(name: str) -> None:
    """kfp drops a YAML's descriptions, so that only a test can keep them true."""
    doc, spec = inspect.getdoc(python_component(name).python_func) or "", specification(name)
    assert spec["description"] == doc.partition("\n")[0]
    for each in [*spec["inputs"], *spec.get("outputs", [])]:
        assert f"    {each['name']}: {each['description']}\n" in f"{doc}\n"


@pytest.mark.parametrize("name", NAMES)
def test_the_yaml_gives_every_argument_of_the_logic_and_no_other(name: str) -> None:
    container = specification(name)["implementation"]["container"]
    assert container["command"] == ["python3", "-m", f"components.{name}"]
    flags, placeholders = container["args"][::2], container["args"][1::2]
    logic = getattr(import_module(f"components.{name}.logic"), name)
    wanted = list(inspect.signature(logic).parameters)
    given = [value for each in placeholders for kind, value in each.items() if kind[-1] != "t"]
    assert [flag for flag in flags if flag != "--executor-input"] == [
        f"--{each.replace('_', '-')}" for each in wanted
    ]
    assert given == wanted
    has_artifacts = any(
        each["type"] not in ("Float", "String") for each in specification(name).get("outputs", [])
    )
    assert ({"executorInput": None} in placeholders) == has_artifacts


@pytest.mark.parametrize("name", NAMES)
def test_the_yaml_names_the_image_without_its_tag(name: str) -> None:
    """The tag is written once, in components/image.py."""
    repository, _, tag = image.DEFAULT.rpartition(":")
    assert tag != "latest"
    assert specification(name)["implementation"]["container"]["image"] == repository
    assert load(name).component_spec.implementation.container.image == image.RUNTIME_IMAGE


def test_the_logic_does_without_kfp() -> None:
    modules = ", ".join(f"components.{name}.logic" for name in NAMES)
    code = f"import sys, components.command, {modules}; print('kfp' in sys.modules)"
    assert process.query([sys.executable, "-c", code], cwd=ROOT).stdout == "False\n"


def test_the_recipe_has_the_name_that_the_tasks_ask_for() -> None:
    assert image.DEFAULT in recipe.load(recipe.IMAGES / "python-runtime").references
    assert "python" in image.DEFAULT
