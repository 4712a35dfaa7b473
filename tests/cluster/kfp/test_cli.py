"""The SDK's own command line, `kfp`, as its help says."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from kfp.cli import cli

from kfpkit.core import process
from kfpkit.core.versions import ROOT
from tests.support.runs import HOST, Run, parsed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.timeout(1200)]


def kfp(*arguments: str) -> Any:
    """Run `kfp` in this process and return what it printed as JSON."""
    argv = ["--endpoint", HOST, "--output", "json", *arguments]
    done = CliRunner().invoke(cli.cli, argv, obj={}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return parsed(done.stdout)


@pytest.fixture(scope="session")
def pipeline(compiled: Callable[..., Path]) -> tuple[str, str]:
    """The name and the ID of a pipeline."""
    name = f"by-cli-{uuid.uuid4().hex[:8]}"
    file = str(compiled("hello", "hello"))
    return name, kfp("pipeline", "create", "--pipeline-name", name, file)["pipeline_id"]


@pytest.fixture(scope="session")
def run(client: Any, target: Target, experiment: str, pipeline: tuple[str, str]) -> Run:
    """A run of it."""
    name, identity = pipeline
    (version,) = kfp("pipeline", "list-versions", identity)
    made = kfp(
        *("run", "create", "--experiment-name", experiment, "--run-name", name),
        *("--pipeline-id", identity, "--version", version["pipeline_version_id"], f"name={name}"),
    )
    return Run(client, target, HOST, made["run_id"])


def test_a_pipeline_is_made_listed_and_run(pipeline: tuple[str, str], run: Run) -> None:
    assert pipeline[0] in [entry["display_name"] for entry in kfp("pipeline", "list")]
    assert run.id in [entry["run_id"] for entry in kfp("run", "list")]


@pytest.mark.turn(4)
def test_a_run_that_has_ended_is_shown(pipeline: tuple[str, str], run: Run) -> None:
    run.finish()
    assert kfp("run", "get", run.id)["state"] == "SUCCEEDED"
    assert f"Hello, {pipeline[0]}." in run.log("greet")


def test_an_unknown_run_is_an_error(client: Any) -> None:
    del client
    argv = [str(ROOT / ".venv/bin/kfp"), "--endpoint", HOST, "run", "get", str(uuid.uuid4())]
    found = process.query(argv, check=False, timeout=120)
    assert not found.ok
    assert "not found" in (found.stdout + found.stderr).lower()
