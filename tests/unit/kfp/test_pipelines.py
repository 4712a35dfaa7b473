"""Finding the pipelines of the checkout."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from kfp.dsl.graph_component import GraphComponent

import pipelines as package
from kfpkit.core import process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.kfp import pipelines, spec

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

TWO = ONE + ONE.partition("\n\n")[2].replace("first", "second")

#: `outer` uses `Middle One` in a loop and under a condition, and that uses `inner`.
NESTED = """
from kfp import dsl
from components.check_accuracy.component import check_accuracy

@dsl.pipeline
def inner(least: float = 0.5) -> None:
    check_accuracy(accuracy=1.0, min_accuracy=least)

@dsl.pipeline(name="Middle One")
def middle(least: float = 0.5) -> None:
    inner(least=least)

@dsl.pipeline
def outer(least: float = 0.6) -> None:
    with dsl.ParallelFor([1, 2]) as item:
        with dsl.If(item == 2):
            middle(least=least)

again = outer
"""

#: Texts of modules that cannot be imported, and what is said of each.
BROKEN = {
    "import no_such_library\n": "line 1: ModuleNotFoundError: No module named 'no_such_library'",
    "x = 1\nif x\n": "line 2: SyntaxError: expected ':'",
    "import sys\n\nsys.exit(3)\n": "line 3: SystemExit: 3",
    "raise ValueError('a\\n  b')\n": "line 1: ValueError: a b",
    "class E(BaseException): ...\nraise E('x')\n": "line 2: E: x",
    "import json\n\njson.loads('{')\n": "line 3: JSONDecodeError: Expecting property name",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose modules are found besides those of the checkout."""
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    return tmp_path


@pytest.fixture(params=BROKEN, ids=lambda text: BROKEN[text].partition(":")[0])
def broken(request: pytest.FixtureRequest, folder: Path) -> tuple[Path, str]:
    """A module that cannot be imported, and what is said of it."""
    file = folder / "found_broken.py"
    file.write_text(request.param)
    return file, BROKEN[request.param]


def kfpkit(folder: Path, *words: str) -> process.Result:
    """Call the command line with the modules of a folder besides those of the checkout."""
    code = (
        f"import pipelines; pipelines.__path__.append({str(folder)!r}); "
        "from kfpkit.cli import main; main()"
    )
    return process.query([sys.executable, "-c", code, *words], check=False, timeout=300)


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
        assert spec.parameters(pipeline.spec)
        for name, declared in spec.parameters(pipeline.spec).items():
            assert declared["description"], f"{pipeline.module}: {name}"


def test_a_new_module_is_found_and_what_it_imports_is_not_its_own(folder: Path) -> None:
    (folder / "found_one.py").write_text(ONE)
    pipeline = pipelines.find("found_one")
    assert (pipeline.name, pipeline.doc) == ("first", "Check something.")
    assert list(spec.parameters(pipeline.spec)) == ["least"]


def test_a_module_without_a_pipeline_is_left_out_and_named_when_asked_for(folder: Path) -> None:
    (folder / "found_none.py").write_text("X = 1\n")
    assert not {"found_none", "resources"} & set(pipelines.discover())
    known = r"has no pipeline\. Pipelines: penguins, penguins_push, penguins_yaml\."
    for name in ("found_none", "resources"):
        with pytest.raises(BadInputError, match=rf"pipelines/{name}\.py {known}"):
            pipelines.find(name)


def test_of_nested_pipelines_the_outermost_is_meant_and_each_can_be_named(folder: Path) -> None:
    (folder / "found_nested.py").write_text(NESTED)
    assert pipelines.find("found_nested").name == "outer"
    assert pipelines.discover()["found_nested"].name == "outer"
    assert pipelines.find("found_nested:middle").name == "middle-one"
    assert pipelines.find("found_nested:inner").module == "found_nested"


def test_of_two_pipelines_beside_each_other_one_has_to_be_named(folder: Path) -> None:
    (folder / "found_two.py").write_text(TWO)
    with pytest.raises(
        BadInputError,
        match=r"pipelines/found_two\.py has 2 pipelines\. "
        r"Name one: found_two:first, found_two:second\.",
    ):
        pipelines.find("found_two")
    assert pipelines.find("found_two:second").name == "second"
    assert {"found_two:first", "found_two:second"} <= set(pipelines.discover())
    with pytest.raises(BadInputError, match=r"has no pipeline 'third'\. It has first, second\."):
        pipelines.find("found_two:third")


def test_a_module_that_cannot_be_imported_is_named_with_the_line(broken: tuple[Path, str]) -> None:
    file, said = broken
    for look in (lambda: pipelines.find("found_broken"), pipelines.discover):
        with pytest.raises(KitError) as caught:
            look()
        text = str(caught.value)
        assert f"pipelines/found_broken.py cannot be imported: {file} {said}" in text
        assert "\n" not in text


def test_the_line_is_that_of_the_file_which_fails_not_of_the_pipeline(folder: Path) -> None:
    (folder / "found_helper.py").write_text("\n\n1 / 0\n")
    (folder / "found_user.py").write_text("import pipelines.found_helper\n")
    with pytest.raises(KitError, match=r"found_user\.py cannot .+/found_helper\.py line 3: Zero"):
        pipelines.find("found_user")


@pytest.mark.usefixtures("broken")
def test_a_broken_module_blocks_no_other_and_is_not_imported_to_list_it() -> None:
    assert pipelines.find("penguins").name == "penguins"
    for name in ("pinguins", "penguins-yaml", "", ":"):
        with pytest.raises(BadInputError) as caught:
            pipelines.find(name)
        assert caught.value.what == f"there is no pipeline {name or repr('')}"
        assert caught.value.do.endswith(
            "a pipeline of the kit: penguins, penguins_push, penguins_yaml"
        )


def test_an_interrupt_while_a_module_is_imported_is_one(folder: Path) -> None:
    (folder / "found_slow.py").write_text("raise KeyboardInterrupt\n")
    done = kfpkit(folder, "run", "found_slow")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_component_without_an_image_is_no_warning_on_every_command(folder: Path) -> None:
    (folder / "found_image.py").write_text(
        "from kfp import dsl\n\n\n@dsl.component\ndef work() -> int:\n    return 1\n\n\n"
        "@dsl.pipeline\ndef found_image() -> None:\n    work()\n"
    )
    for name in ("found_image", "penguins"):
        done = kfpkit(folder, "--dry-run", "run", name)
        assert done.ok, done.stderr
        assert done.stderr.startswith(f"would run {name} on this machine")
        assert done.stderr.count("\n") == 1
