"""`kfpkit run`, `schedule` and `up` for a cluster, as far as they go without one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process

if TYPE_CHECKING:
    from pathlib import Path


def kfpkit(*arguments: str, dry_run: bool = False) -> process.Result:
    return process.query(
        [sys.executable, "-m", "kfpkit", *arguments],
        env={"KFPKIT_DRY_RUN": "1" if dry_run else ""},
        check=False,
        timeout=300,
    )


def run(*arguments: str) -> process.Result:
    """Say what a run on the cluster of an overlay would do; the context need not be there."""
    words = ("--target", "gke", "--context", "none-such")
    return kfpkit("run", "penguins", *words, *arguments, dry_run=True)


def test_a_dry_run_says_each_step_and_leaves_nothing(tmp_path: Path) -> None:
    done = run("seed=7", "--runs", str(tmp_path))
    assert done.ok, done.stderr
    steps = [
        "--context none-such --namespace kubeflow port-forward service/ml-pipeline",
        "would upload penguins to http://localhost:PORT, version penguins-",
        "would create the run penguins-",
        "in the experiment penguins",
        "seed=7",
        "get workflows.argoproj.io --selector=pipeline/runid=RUN_ID",
    ]
    places = [done.stderr.find(step) for step in steps]
    assert -1 not in places, done.stderr
    assert places == sorted(places)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_with_an_address_opens_no_port() -> None:
    done = run("--host", "http://kfp.example:8888/", "--experiment", "trials")
    assert done.ok, done.stderr
    assert "port-forward" not in done.stderr
    assert "would upload penguins to http://kfp.example:8888, version" in done.stderr
    assert "in the experiment trials" in done.stderr


def test_a_run_without_the_cache_uploads_nothing() -> None:
    done = run("--no-cache")
    assert done.ok, done.stderr
    assert "would upload" not in done.stderr
    assert "would create the run penguins-" in done.stderr


def test_the_context_of_another_cluster_must_be_named() -> None:
    done = kfpkit("run", "penguins", "--target", "gke", dry_run=True)
    assert done.returncode == 1
    assert "error: the overlay gke needs the context of a cluster" in done.stderr


def test_no_api_is_one_line_and_leaves_no_folder(tmp_path: Path) -> None:
    # Port 9 is nobody's.
    done = kfpkit(
        *("run", "penguins", "--target", "gke", "--context", "none-such"),
        *("--host", "http://localhost:9", "--runs", str(tmp_path)),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: no Kubeflow Pipelines API answers at http://localhost:9")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--cron", "0 6 * * *"], "has 5 fields", id="five fields"),
        pytest.param(["--every", "soon"], "EVERY=soon is no duration", id="interval"),
        pytest.param([], "give CRON= or EVERY=", id="neither"),
        pytest.param(["--every", "1h", "sed=7"], "no parameter 'sed'", id="unknown name"),
        pytest.param(
            ["--every", "1h", "--target", "local"], "no target 'local'", id="unknown target"
        ),
    ],
)
def test_a_bad_schedule_is_one_line_before_anything_is_sent(
    arguments: list[str], message: str
) -> None:
    done = kfpkit("schedule", "set", "penguins", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_dry_run_of_a_schedule_makes_none() -> None:
    done = kfpkit(
        *("schedule", "set", "penguins", "seed=7", "--cron", "0 30 6 * * *"),
        *("--target", "gke", "--context", "none-such"),
        dry_run=True,
    )
    assert done.ok, done.stderr
    assert "would upload penguins" in done.stderr
    assert "would make the recurring run penguins in penguins: cron 0 30 6 * * * (UTC)" in (
        done.stderr
    )


@pytest.mark.parametrize("command", ["list", "delete"])
def test_a_dry_run_only_says_what_it_would_do(command: str) -> None:
    name = ["nightly"] if command == "delete" else []
    words = ("--target", "gke", "--context", "none-such")
    done = kfpkit("schedule", command, *name, *words, dry_run=True)
    assert done.ok, done.stderr
    assert f"would {command} the recurring run" in done.stderr


def test_a_report_needs_a_run() -> None:
    done = kfpkit("report")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no run is named. Add RUN=id")


def test_a_dry_run_of_a_report_writes_none(tmp_path: Path) -> None:
    words = ("--target", "gke", "--context", "none-such", "--runs", str(tmp_path))
    done = kfpkit("report", "some-id", *words, dry_run=True)
    assert done.ok, done.stderr
    assert "would follow the run some-id" in done.stderr
    assert not list(tmp_path.iterdir())


def test_up_checks_the_pipeline_before_it_begins() -> None:
    done = kfpkit("up", "nope", dry_run=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no pipeline nope")


def test_up_goes_through_all_phases_in_a_dry_run() -> None:
    done = kfpkit("up", "--images", "upstream", dry_run=True)
    assert done.ok, done.stderr
    places = [
        done.stderr.find(text) for text in ("== cluster-up", "== install", "== run", "would follow")
    ]
    assert -1 not in places, done.stderr
    assert places == sorted(places)
