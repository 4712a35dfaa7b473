"""The SDK's own command line, `kfp`, as its help says."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core import process
from kfpkit.core.versions import ROOT
from tests.support.kfp_runs import HOST
from tests.support.runs import Run, parsed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.timeout(1200)]


def kfp(*arguments: str) -> Any:
    """Run `kfp` and return what it printed as JSON."""
    argv = [str(ROOT / ".venv/bin/kfp"), "--endpoint", HOST, "--output", "json", *arguments]
    return parsed(process.query(argv, timeout=120).stdout)


def test_a_pipeline_is_made_listed_and_run(
    client: Any, target: Target, compiled: Callable[..., Path], experiment: str
) -> None:
    name = f"by-cli-{uuid.uuid4().hex[:8]}"
    file = str(compiled("hello", "hello"))
    pipeline = kfp("pipeline", "create", "--pipeline-name", name, file)["pipeline_id"]
    assert name in [entry["display_name"] for entry in kfp("pipeline", "list")]
    (version,) = kfp("pipeline", "list-versions", pipeline)
    made = kfp(
        *("run", "create", "--experiment-name", experiment, "--run-name", name),
        *("--pipeline-id", pipeline, "--version", version["pipeline_version_id"], f"name={name}"),
    )
    run = Run(client, target, HOST, made["run_id"])
    assert made["run_id"] in [entry["run_id"] for entry in kfp("run", "list")]
    run.finish()
    assert kfp("run", "get", run.id)["state"] == "SUCCEEDED"
    assert f"Hello, {name}." in run.log("greet")


def test_an_unknown_run_is_an_error(client: Any) -> None:
    del client
    argv = [str(ROOT / ".venv/bin/kfp"), "--endpoint", HOST, "run", "get", str(uuid.uuid4())]
    found = process.query(argv, check=False, timeout=120)
    assert not found.ok
    assert "not found" in (found.stdout + found.stderr).lower()
