"""The runtime image's tag: it changes with what is in the image, and with nothing else."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from components import image
from kfpkit.core import process
from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout elsewhere: components/ and the image's recipe."""
    shutil.copytree(image.FOLDER, tmp_path / "components")
    shutil.copytree(image.RECIPE, tmp_path / "recipe")
    return tmp_path


def tag(copy: Path) -> str:
    return image.tag(copy / "components", copy / "recipe")


def test_it_is_the_same_wherever_the_checkout_lies(copy: Path) -> None:
    assert tag(copy) == image.TAG


@pytest.mark.parametrize(
    "file",
    [
        "components/train/logic.py",
        "components/command.py",
        "components/requirements.txt",
        "recipe/Dockerfile",
        "recipe/image.toml",
        "recipe/prepare.py",
    ],
)
def test_it_changes_with_what_is_in_the_image(copy: Path, file: str) -> None:
    with (copy / file).open("a") as out:
        out.write("# changed\n")
    assert tag(copy) != image.TAG


def test_it_changes_with_a_new_and_a_renamed_file(copy: Path) -> None:
    new = copy / "components/train/new.py"
    new.write_text("")
    added = tag(copy)
    new.rename(copy / "components/train/renamed.py")
    assert len({added, tag(copy), image.TAG}) == 3


@pytest.mark.parametrize(
    "file",
    [
        "components/train/component.yaml",
        "components/train/component.py",
        "components/image.py",
        "components/train/notes.md",
        "recipe/README.md",
    ],
)
def test_it_stays_when_something_else_changes(copy: Path, file: str) -> None:
    with (copy / file).open("a") as out:
        out.write("# changed\n")
    assert tag(copy) == image.TAG


def test_the_code_in_the_image_does_without_the_rest(copy: Path) -> None:
    """As in the image: only those files, and every module of them can be imported."""
    code = image.code(copy / "components")
    for file in (copy / "components").rglob("*"):
        if file.is_file() and file not in code:
            file.unlink()
    parts = [file.relative_to(copy).with_suffix("").parts for file in code]
    modules = {".".join(p).removesuffix(".__init__") for p in parts if p[-1] != "__main__"}
    line = "; ".join(f"import {module}" for module in sorted(modules))
    process.query([sys.executable, "-c", line], cwd=copy)


def test_a_changed_component_fails_the_check_until_golden_is_made(tmp_path: Path) -> None:
    for name in (
        "components",
        "pipelines",
        "kfpkit",
        "images/python-runtime",
        "images/kfpkit",
        "docs/use",
        "manifests",
    ):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("versions.env", "pyproject.toml", "uv.lock", "kind-config.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    kfpkit = [sys.executable, "-m", "kfpkit", "golden"]
    assert process.query([*kfpkit, "--check"], cwd=tmp_path).ok

    with (tmp_path / "components/train/logic.py").open("a") as out:
        out.write("# changed\n")

    checked = process.query([*kfpkit, "--check"], cwd=tmp_path, check=False)
    assert checked.returncode != 0
    assert "golden files are stale: pipelines/golden/penguins.yaml" in checked.stderr
    process.query(kfpkit, cwd=tmp_path)
    assert process.query([*kfpkit, "--check"], cwd=tmp_path).ok
