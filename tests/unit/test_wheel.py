"""The kit installed from its wheel: without a checkout, in any folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kfpkit.core import process
from kfpkit.core.packages import HOME
from kfpkit.images import own, recipe
from tests.support import wheels

#: Prints what the kit is, as it is installed.
SAY = """
import json
import sys
from components import image
from kfpkit.cluster import config
from kfpkit.images import builder, own, recipe
from kfpkit.kube import render
_, digests = builder.plan(["kfpkit", "python-runtime"])
print(json.dumps({
    "image": own.tag(), "runtime": image.TAG, "recipes": sorted(recipe.load_all()),
    "digests": digests, "overlays": render.overlays(), "kind": config.load().name,
}))
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.install_kit(tmp_path_factory.mktemp("tool"))


def say(python: Path, folder: Path) -> dict[str, object]:
    said = process.query([str(python), "-P", "-c", SAY], cwd=folder).stdout
    return dict(json.loads(said))


def test_all_that_the_kit_needs_is_inside(program: Path, tmp_path: Path) -> None:
    python = program.resolve().parent / "python"
    installed = say(python, tmp_path)
    assert not python.is_relative_to(HOME)
    assert installed["image"] == own.tag()
    assert installed["recipes"] == sorted(recipe.load_all())
    assert installed == say(Path(sys.executable), tmp_path)


def test_a_pipeline_of_any_folder_runs(program: Path, tmp_path: Path) -> None:
    file = wheels.write_pipeline(tmp_path / "a folder", "python:3.11")
    here = tmp_path / "here"
    here.mkdir()
    done = process.query([str(program), "run", str(file), "a=5"], cwd=here, check=False)
    assert done.ok, done.stderr
    (run,) = here.glob("runs/my-pipeline-*/run.json")
    assert json.loads(run.read_text())["tasks"][0]["outputs"] == {"Output": 7}
    assert (run.parent / "report.html").exists()
    compiled = here / "compiled.yaml"
    for words in (["compile", str(file), str(compiled)], ["run", "compiled.yaml"]):
        done = process.query([str(program), *words], cwd=here, check=False)
        assert done.ok, done.stderr


def test_what_needs_a_checkout_says_so(program: Path, tmp_path: Path) -> None:
    done = process.query([str(program), "golden"], cwd=tmp_path, check=False)
    assert done.stderr == (
        "error: the golden files are those of a checkout. Run make golden in one.\n"
    )


def test_no_secret_and_nothing_of_this_machine_is_inside(program: Path) -> None:
    (files,) = program.resolve().parents[1].glob("lib/*/site-packages/kfpkit/files")
    assert {path.name for path in files.iterdir()} == {
        "images",
        "kind-config.yaml",
        "manifests",
        "versions.env",
    }
    assert not [*files.rglob("*.secret.env"), *files.rglob(".git*")]
