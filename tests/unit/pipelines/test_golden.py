"""The golden files: as compiled, and a drift is found."""

from __future__ import annotations

import shutil
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from components.image import DEFAULT, VARIABLE
from kfpkit.core import process
from kfpkit.core.errors import BadInputError
from kfpkit.core.versions import ROOT
from kfpkit.kfp import pipelines

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def golden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the golden files that the code takes for the original."""
    shutil.copytree(pipelines.GOLDEN, tmp_path / "golden")
    monkeypatch.setattr(pipelines, "GOLDEN", tmp_path / "golden")
    return tmp_path / "golden"


def test_the_golden_files_are_as_compiled() -> None:
    assert not pipelines.stale_golden(), "run make golden and review its diff"
    compiled = {f"{module}.yaml" for module in pipelines.discover()}
    assert {file.name for file in pipelines.GOLDEN.iterdir()} == compiled


def test_a_drift_a_missing_and_a_left_over_file_are_found_and_mended(golden: Path) -> None:
    changed, missing, left_over = (
        golden / f"{name}.yaml" for name in ("penguins", "penguins_yaml", "gone")
    )
    whole = {file: file.read_text() for file in golden.iterdir()}
    good = {file: whole[file] for file in (changed, missing)}
    changed.write_text(good[changed].replace("seed", "sead"))
    missing.unlink()
    left_over.write_text("x: 1\n")
    assert pipelines.stale_golden() == {**good, left_over: None}
    assert pipelines.write_golden() == sorted([changed, missing, left_over])
    assert {file: file.read_text() for file in golden.iterdir()} == whole
    assert not pipelines.stale_golden()


def test_another_image_does_not_get_into_the_golden_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "registry.example/python:1")
    with pytest.raises(BadInputError, match=f"Unset {VARIABLE}"):
        pipelines.golden_texts()


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"pipeline\.json does not end in \.yaml"):
        pipelines.compile_to(pipelines.find("penguins"), tmp_path / "pipeline.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", sorted(pipelines.discover()))
def test_another_image_is_all_that_differs_when_it_is_asked_for(
    tmp_path: Path, module: str
) -> None:
    image = "europe-docker.pkg.dev/project/repository/python-runtime:1"
    kfpkit = [sys.executable, "-m", "kfpkit", "compile", module, str(tmp_path / "out.yaml")]
    process.query([*kfpkit, "--runtime-image", image], cwd=ROOT)
    expected = (pipelines.GOLDEN / f"{module}.yaml").read_text()
    assert (tmp_path / "out.yaml").read_text() == expected.replace(DEFAULT, image)


def wheels(name: str, version: str) -> list[str]:
    lock: dict[str, Any] = tomllib.loads((ROOT / "uv.lock").read_text())
    [package] = (
        each for each in lock["package"] if (each["name"], each["version"]) == (name, version)
    )
    return [wheel["url"].rpartition("/")[2] for wheel in package["wheels"]]


def test_the_image_needs_wheels_only_and_finds_them_for_both_architectures() -> None:
    """The image has Python 3.11; lines for other versions of Python are left alone."""
    lines = pipelines.REQUIREMENTS.read_text().splitlines()
    requirements = [line for line in lines if "==" in line and ">= '3.12'" not in line]
    assert len(requirements) > 10
    for line in requirements:
        name, _, rest = line.partition("==")
        found = wheels(name, rest.split()[0])
        for machine in ("x86_64", "aarch64"):
            assert any(
                wheel.endswith("-none-any.whl")
                or (("-cp311-" in wheel or "-abi3-" in wheel) and f"_{machine}." in wheel)
                for wheel in found
            ), f"{line}: no wheel for {machine}"
