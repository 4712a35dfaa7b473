"""The kit's own image: it holds what prune needs and no more, and its tag says what it holds."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.versions import ROOT
from kfpkit.images import own, recipe
from kfpkit.images.source import Source

if TYPE_CHECKING:
    from pathlib import Path

#: Runs the code in a folder with the packages that a requirements file names, and no others.
BARE = """
import re, runpy, sys
from importlib.metadata import packages_distributions
folder, requirements, *argv = sys.argv[1:]
plain = lambda name: re.sub("[-_.]+", "-", name).lower()
named = {plain(n) for n in re.findall("^([A-Za-z0-9._-]+)==", open(requirements).read(), re.M)}
given = packages_distributions()
class Others:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top != "kfpkit" and top in given and not named & {plain(d) for d in given[top]}:
            raise ModuleNotFoundError(f"the image has no {name}", name=name)
sys.meta_path.insert(0, Others())
sys.path.insert(0, folder)
"""

IMPORT_ALL = f"{BARE}\nfor name in argv: __import__(name)\nprint(__import__('kfpkit').__file__)\n"

CLIENT = f"{BARE}\nfrom kfpkit.kfp import api\napi.Client('http://localhost:9').check()\n"

PRUNE_HELP = f"{BARE}\nsys.argv = argv\nrunpy.run_module('kfpkit', run_name='__main__')\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout elsewhere: kfpkit/ and the image's recipe."""
    for name in ("kfpkit", str(own.RECIPE)):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    return tmp_path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """What the recipe's own step puts into the image, in a folder of its own."""
    for file in own.code():
        target = tmp_path / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return tmp_path


def bare(code: str, image: Path, *argv: str) -> process.Result:
    requirements = str(ROOT / own.RECIPE / "requirements.txt")
    words = [sys.executable, "-I", "-c", code, str(image), requirements, *argv]
    return process.query(words, cwd=image, check=False)


def test_all_that_is_in_the_image_can_be_imported_there(image: Path) -> None:
    files = [file.relative_to(image).with_suffix("").parts for file in image.rglob("*.py")]
    modules = [".".join(parts).removesuffix(".__init__") for parts in files]
    done = bare(IMPORT_ALL, image, *(name for name in modules if "__main__" not in name))
    assert done.ok, done.stderr
    assert done.stdout.strip() == str(image / "kfpkit/__init__.py")


def test_prune_starts_there(image: Path) -> None:
    done = bare(PRUNE_HELP, image, "kfpkit", "prune", "--help")
    assert done.ok, done.stderr
    assert "--older-than" in done.stdout


def test_the_api_is_asked_there(image: Path) -> None:
    assert "no Kubeflow Pipelines API answers" in bare(CLIENT, image).stderr


def test_the_image_holds_nothing_that_runs_pipelines_or_looks_after_a_cluster_from_outside() -> (
    None
):
    folders = {file.relative_to(ROOT / "kfpkit").parts[0] for file in own.code()}
    assert not {"doctor", "lint"} & folders
    names = {file.relative_to(ROOT).as_posix() for file in own.code()}
    assert "kfpkit/operations/prune/run.py" in names
    assert "kfpkit/operations/upgrade/phases.py" not in names
    assert "kfpkit/kfp/pipelines.py" not in names


def test_a_function_in_the_image_imports_nothing_else_of_the_kit() -> None:
    """Where a module imports only once a function runs, nobody would see before the night."""
    code = own.code()
    for file in code:
        # One function of the command line is one command; only prune's runs there.
        if "cli" in file.parts and file.name != "prune.py":
            continue
        for function in ast.walk(ast.parse(file.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kfpkit"):
                    module = ROOT.joinpath(*(node.module or "").split("."))
                    places = {module.with_suffix(".py"), module / "__init__.py"}
                    assert places & {*code}, f"{file}: {node.module}"


def test_the_tag_is_the_same_wherever_the_checkout_lies(copy: Path) -> None:
    assert own.tag(copy) == own.tag()
    assert re.fullmatch("[0-9a-f]{12}", own.tag())


@pytest.mark.parametrize(
    "file",
    [
        "kfpkit/operations/prune/plan.py",
        "kfpkit/core/process.py",
        *(str(own.RECIPE / part) for part in own.PARTS),
    ],
)
def test_the_tag_changes_with_what_is_in_the_image(copy: Path, file: str) -> None:
    with (copy / file).open("a") as out:
        out.write("# changed\n")
    assert own.tag(copy) != own.tag()


@pytest.mark.parametrize(
    "file", ["kfpkit/doctor/checks.py", "kfpkit/kfp/pipelines.py", str(own.RECIPE / "README.md")]
)
def test_the_tag_stays_when_something_else_changes(copy: Path, file: str) -> None:
    with (copy / file).open("a") as out:
        out.write("# changed\n")
    assert own.tag(copy) == own.tag()


def test_the_tag_changes_with_a_pin_that_the_recipe_names(monkeypatch: pytest.MonkeyPatch) -> None:
    before = own.tag()
    monkeypatch.setattr(own, "version", lambda name: f"another {name}")
    assert own.tag() != before


def test_manifests_name_the_image_that_the_recipe_makes() -> None:
    (made,) = recipe.load(ROOT / own.RECIPE).references
    assert made == f"kfpkit.invalid/kfpkit:{own.tag()}"
    for file, text in own.pins().items():
        assert file.read_text() == text, "stale: make golden"
        assert f'newTag: "{own.tag()}"' in text
    assert {file.parts[-3] for file in own.pins()} == {Source.UPSTREAM, Source.PACKAGES}
