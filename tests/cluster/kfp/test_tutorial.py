"""Every command of the tutorial as it stands, from the installed wheel, in an empty folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core import process
from kfpkit.core.versions import ROOT
from kfpkit.core.waiting import wait_for
from tests.support import tutorial
from tests.support.runs import HOST, Run
from tests.support.vertex.server import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.kfp.target import Target
    from tests.support.vertex.server import StandIn

pytestmark = [pytest.mark.kfp, pytest.mark.turn(4), pytest.mark.timeout(3600), pytest.mark.long]

NAME = "price-model"

#: What is not the checkout's own, at its top.
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "runs", "backups", "bench", "dist", ".*_cache")


@pytest.fixture
def vertex(tmp_path: Path) -> Iterator[StandIn]:
    with opened(tmp_path / "vertex") as stand_in:
        yield stand_in


@pytest.fixture
def env(tmp_path: Path, vertex: StandIn) -> Iterator[dict[str, str]]:
    """An environment in which uv is there, and its tools go into a folder of this test."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("uv", "uvx"):
        (tools / name).symlink_to(Path(sys.executable).with_name(name))
    env = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "UV_TOOL_DIR": str(tmp_path / "environments"),
        "UV_TOOL_BIN_DIR": str(tools),
        "STORAGE_EMULATOR_HOST": vertex.storage,
    }
    yield env
    argv = [str(tools / "kfpkit"), "schedule", "delete", NAME, "--target", "kind", "--yes"]
    process.query(argv, env=env, check=False)


def scheduled(client: Any) -> list[Any]:
    """Return the runs of the tutorial's schedule."""
    recurring = [
        each
        for each in client.list_recurring_runs(page_size=100).recurring_runs or []
        if each.display_name == NAME
    ]
    listed = client.list_runs(page_size=100, sort_by="created_at desc").runs or []
    return [
        run for run in listed if run.recurring_run_id in {e.recurring_run_id for e in recurring}
    ]


def targets(vertex: StandIn) -> str:
    """Return the tutorial's targets.toml with the project and the addresses of the stand-in."""
    (shown,) = tutorial.targets().items()
    (stand_in,) = tomllib.loads(vertex.targets.read_text()).values()
    lines = [f"{key} = {json.dumps(value)}" for key, value in (shown[1] | stand_in).items()]
    return "\n".join([f"[{shown[0]}]", *lines, ""])


def test_it_runs_as_it_stands(
    tmp_path: Path, env: dict[str, str], vertex: StandIn, client: Any, target: Target
) -> None:
    checkout, folder = tmp_path / "checkout", tmp_path / "an empty folder"
    shutil.copytree(
        ROOT, checkout, ignore=lambda at, names: _LEFT_OUT(at, names) if at == str(ROOT) else set()
    )
    folder.mkdir()
    said: dict[str, str] = {}
    for one in tutorial.commands():
        if "schedule delete" in one.line:
            wait_for(
                "a run of the schedule",
                lambda: None if scheduled(client) else "none yet",
                timeout=240,
            )
            # Deleted before its end, it would be ended.
            Run(client, target, HOST, scheduled(client)[-1].run_id).finish()
        if "vertex" in one.line:
            (folder / "targets.toml").write_text(targets(vertex))
        said[one.line] = one.run(checkout if one.in_checkout else folder, env)

    assert scheduled(client) == []  # it is deleted
    assert [job.resource["state"] for job in vertex.jobs.values()] == ["PIPELINE_STATE_SUCCEEDED"]

    # Here, on kind and on Vertex AI: one file, one seed, one metric.
    errors = {
        re.findall(r"mean_absolute_error +([\d.]+)", text)[0]
        for line, text in said.items()
        if line.startswith("kfpkit run")
    }
    assert len(errors) == 1
    # In the empty folder is what the tutorial says, pytest's cache, and nothing else.
    left = {file.name for file in folder.iterdir()}
    assert left == {".pytest_cache", "price_model", "runs", "targets.toml"}
