"""Finding the pipelines of the checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kfp.dsl.graph_component import GraphComponent

import pipelines as package
from kfpkit import pipelines
from kfpkit.errors import BadInputError, KitError

if TYPE_CHECKING:
    from pathlib import Path

ONE = """
from kfp import dsl
from pipelines.penguins import penguins
from components.check_accuracy.component import check_accuracy

@dsl.pipeline(name="first")
def first(least: float = 0.5) -> None:
    '''Check something.'''
    check_accuracy(accuracy=1.0, min_accuracy=least)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose modules are found besides those of the checkout."""
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    return tmp_path


def test_the_sample_is_found_in_both_forms() -> None:
    found = pipelines.discover()
    assert {"penguins", "penguins_yaml"} <= set(found)
    for module, pipeline in found.items():
        assert isinstance(pipeline.func, GraphComponent)
        assert pipeline.module == module
        assert pipeline.name == module.replace("_", "-")
        assert pipeline.doc


def test_every_parameter_of_every_pipeline_is_documented() -> None:
    for pipeline in pipelines.discover().values():
        assert pipeline.inputs
        for name, spec in pipeline.inputs.items():
            assert spec.description, f"{pipeline.module}: {name}"


def test_a_new_module_is_found_and_what_it_imports_is_not_its_own(folder: Path) -> None:
    (folder / "found_one.py").write_text(ONE)
    pipeline = pipelines.find("found_one")
    assert (pipeline.name, pipeline.doc) == ("first", "Check something.")
    assert list(pipeline.inputs) == ["least"]


def test_a_module_without_a_pipeline_is_left_out(folder: Path) -> None:
    (folder / "found_none.py").write_text("X = 1\n")
    assert "found_none" not in pipelines.discover()
    assert "resources" not in pipelines.discover()


def test_a_module_with_two_pipelines_is_refused(folder: Path) -> None:
    (folder / "found_two.py").write_text(ONE + ONE.partition("\n\n")[2].replace("first", "second"))
    with pytest.raises(KitError, match=r"pipelines/found_two\.py defines 2 pipelines"):
        pipelines.discover()


def test_a_module_that_cannot_be_imported_is_named(folder: Path) -> None:
    (folder / "found_broken.py").write_text("import no_such_library\n")
    with pytest.raises(KitError, match=r"pipelines/found_broken\.py cannot be imported.+no_such"):
        pipelines.discover()


def test_an_unknown_pipeline_gets_the_names_of_the_known_ones() -> None:
    with pytest.raises(
        BadInputError, match=r"there is no pipeline pinguins\. Pipelines: penguins, penguins_yaml"
    ):
        pipelines.find("pinguins")
