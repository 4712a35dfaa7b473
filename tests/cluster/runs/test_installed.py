"""The kit installed from its wheel, and an image of a user's own, on the real cluster."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest

from components.image import DEFAULT
from kfpkit.cluster import lifecycle, loading
from kfpkit.core import process
from kfpkit.images import builder
from kfpkit.images.recipe import RUNTIME
from tests.support import wheels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kfpkit.cluster.config import KindCluster

pytestmark = [pytest.mark.kfp, pytest.mark.turn(1), pytest.mark.timeout(1200)]


@pytest.fixture
def image(kind: KindCluster) -> Iterator[str]:
    """An image that the Docker engine alone has."""
    name = f"test-own/tasks:{uuid.uuid4().hex[:8]}"
    builder.ensure([RUNTIME], load=[RUNTIME])
    process.query(["docker", "tag", DEFAULT, name])
    yield name
    process.query(["docker", "image", "rm", name], check=False)
    for node in loading._nodes(lifecycle.observe(kind)):
        remove = ["docker", "exec", node, *loading.CTR, "rm", loading.full_name(name)]
        process.query(remove, check=False)


def test_the_same_compiled_file_runs_here_and_on_kind(image: str, tmp_path: Path) -> None:
    program = str(wheels.install_kit(tmp_path / "tool"))
    file = wheels.write_pipeline(tmp_path / "a folder", image)
    here = tmp_path / "here"
    here.mkdir()

    def kfpkit(*words: str) -> process.Result:
        done = process.query([program, *words], cwd=here, check=False, timeout=600)
        assert done.ok, done.stderr
        return done

    kfpkit("compile", str(file), "adding.yaml")
    kfpkit("run", "adding.yaml", "a=5")
    on_kind = kfpkit("run", "adding.yaml", "a=5", "--target", "kind")
    assert f"has no {image}: taking it from the Docker engine" in on_kind.stderr
    runs = [json.loads(run.read_text()) for run in here.glob("runs/adding-*/run.json")]
    assert {run["target"] for run in runs} == {"local", "kind"}
    assert [run["tasks"][0]["outputs"] for run in runs] == [{"Output": 7}] * 2
    assert len({run["pipeline_version"] for run in runs}) == 1


def test_what_nobody_has_stops_the_command_before_there_is_a_run(tmp_path: Path) -> None:
    program = str(wheels.install_kit(tmp_path / "tool"))
    for image, said in {
        "kfpkit.invalid/mine:1": "neither the nodes nor the Docker engine have the image",
        "kfpkit.invalid/mine": "has a moving tag, which Kubernetes pulls for each pod",
    }.items():
        file = wheels.write_pipeline(tmp_path / uuid.uuid4().hex, image)
        argv = [program, "run", str(file), "--target", "kind"]
        done = process.query(argv, cwd=tmp_path, check=False)
        assert done.returncode == 1
        (error,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
        assert said in error
        assert not list(tmp_path.glob("runs/*"))
