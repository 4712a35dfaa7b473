"""One compiled file on this machine, on kind and on Vertex AI's stand-in: the same results."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.packages import HOME
from tests.support.vertex import server

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.docker, pytest.mark.timeout(1800)]


def kit(folder: Path, env: dict[str, str], *words: str) -> process.Result:
    argv = [sys.executable, "-m", "kfpkit", *words]
    return process.query(
        argv, cwd=folder, env=env | {"PYTHONPATH": str(HOME)}, check=False, timeout=1500
    )


def test_three_backends_agree_and_a_planted_difference_is_found(
    target: Target, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert target
    with server.opened(tmp_path_factory.mktemp("vertex")) as stand_in:
        env = {"STORAGE_EMULATOR_HOST": stand_in.storage, "KFPKIT_TARGETS": str(stand_in.targets)}
        on = "--on=local,kind,stand-in"
        done = kit(tmp_path, env, "agree", "penguins", "seed=7", on)
    assert done.returncode == 0, done.stdout + done.stderr
    folders = sorted((tmp_path / "runs").glob("agree-penguins-*/*/run.json"))
    assert len(folders) == 3, done.stdout
    kind = next(file.parent for file in folders if '"target": "kind"' in file.read_text())
    other = next(file.parent for file in folders if file.parent != kind)
    (model,) = kind.rglob("train/model")
    model.write_bytes(model.read_bytes() + b" ")
    differs = kit(tmp_path, {}, "compare", str(other), str(kind))
    assert differs.returncode == 1
    assert "train" in differs.stdout
