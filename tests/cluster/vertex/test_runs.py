"""Runs on Vertex AI's stand-in, as a person starts, follows, ends and repeats them."""

from __future__ import annotations

import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kfpkit.core import process
from kfpkit.core.packages import HOME
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import pipelines
from kfpkit.kfp.run import Run, State
from tests.support.vertex import server
from tests.support.vertex.server import ROOT_URI, StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

SEEDED = str(HOME / "tests/support/pipelines/seeded.py")

KIT = [sys.executable, "-m", "kfpkit"]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with server.opened(tmp_path_factory.mktemp("vertex")) as started:
        yield started


class Kit:
    """The command line on the stand-in, in an empty folder."""

    def __init__(self, stand_in: StandIn, folder: Path) -> None:
        self.folder = folder
        self.env = {
            "STORAGE_EMULATOR_HOST": stand_in.storage,
            "KFPKIT_TARGETS": str(stand_in.targets),
            "PYTHONPATH": str(HOME),
        }

    def __call__(self, *words: str, target: str = "stand-in") -> process.Result:
        argv = [*KIT, *words, f"--target={target}"]
        return process.query(argv, cwd=self.folder, env=self.env, check=False, timeout=900)

    def runs(self) -> list[tuple[Run, str]]:
        """Return the runs that left a report, the oldest first, each with its page."""
        folders = sorted((self.folder / "runs").iterdir(), key=lambda one: one.stat().st_mtime)
        return [
            (Run.from_json((one / "run.json").read_text()), (one / "report.html").read_text())
            for one in folders
        ]


@pytest.fixture
def kit(stand_in: StandIn, tmp_path: Path) -> Kit:
    return Kit(stand_in, tmp_path)


def id_of(said: str) -> str:
    found = re.search(r"^run (\S+): https://console\.cloud\.google\.com/\S+$", said, re.MULTILINE)
    assert found, said
    return found[1]


def facts(run: Run) -> dict[str, Any]:
    """Return what one seed decides."""
    return {
        row.name: (
            str(row.state),
            row.inputs,
            row.outputs,
            {one.name: (one.type, one.metadata, one.sha256, one.size) for one in row.artifacts},
        )
        for row in run.rows
    }


def test_one_compiled_file_gives_the_same_here_and_there(kit: Kit, stand_in: StandIn) -> None:
    file = kit.folder / "seeded.yaml"
    pipelines.compile_to(pipelines.find(SEEDED), file)
    here = kit("run", str(file), "seed=7", target="local")
    assert here.ok, here.stderr
    there = kit("run", str(file), "seed=7")
    assert there.ok, there.stderr
    assert "✓ draw: succeeded" in there.stderr
    assert re.search(r"✓ for-loop-\d/square: succeeded, 2/2 rounds", there.stderr)
    job = stand_in.jobs[f"{server._JOBS}/{id_of(there.stderr)}"].resource
    assert job["pipelineSpec"] == yaml.safe_load(file.read_text())
    assert job["runtimeConfig"]["parameterValues"] == {"seed": 7}
    assert job["runtimeConfig"]["gcsOutputDirectory"] == ROOT_URI
    (local, _), (vertex, page) = kit.runs()
    assert (local.target, vertex.target) == ("local", "stand-in")
    assert facts(vertex) == facts(local)
    by_name = {row.name: row for row in vertex.rows}
    assert {one.name for one in by_name["draw"].artifacts if one.sha256} == {"folder", "table"}
    assert [row.name[-5:] for row in vertex.rows if row.state is State.SKIPPED] == ["/stop"]
    assert all(row.seconds is not None for row in vertex.rows if row.state is State.SUCCEEDED)
    for part in ("Confusion matrix", "ROC curve", "accuracy"):
        assert part in page
    assert all(ROOT_URI in one.uri for one in by_name["draw"].artifacts if one.sha256)
    # The very same again is all from the cache, but not where that is not wanted.
    again = kit("run", str(file), "seed=7")
    assert again.ok, again.stderr
    assert "✓ draw: succeeded (from the cache)" in again.stderr
    cached = kit.runs()[-1][0]
    assert {row.cached_from for row in cached.rows if row.artifacts} == {vertex.id}
    assert facts(cached) == facts(local)
    anew = kit("run", str(file), "seed=7", "--no-cache")
    assert anew.ok, anew.stderr
    assert "from the cache" not in anew.stderr
    sent = stand_in.jobs[f"{server._JOBS}/{id_of(anew.stderr)}"].resource["pipelineSpec"]
    assert sent["root"]["dag"]["tasks"]["draw"]["cachingOptions"] == {"enableCache": False}


def test_a_run_that_fails_says_what_helps(kit: Kit) -> None:
    done = kit("run", SEEDED, "fail=true")
    assert done.returncode == 1
    assert re.search(r"✗ condition-\d/stop: failed", done.stderr)
    assert "exited with a non-zero status" in done.stderr
    ((run, page),) = kit.runs()
    assert run.state is State.FAILED
    assert "gcloud logging read" in run.explanation
    assert "resource.labels.job_id" in page


@pytest.mark.long
def test_a_run_outlives_an_interrupt_is_followed_again_and_ended(
    kit: Kit, stand_in: StandIn
) -> None:
    argv = [*KIT, "run", str(HOME / "tests/support/pipelines/sleep.py"), "--target=stand-in"]
    log = kit.folder / "log"
    with process.spawned(argv, log=log, cwd=kit.folder, env=kit.env) as running:
        wait_for(
            "the task to run",
            lambda: None if ": running" in log.read_text() else "not yet",
            timeout=300,
        )
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=120) == 130
    said = log.read_text()
    run_id = id_of(said)
    assert "the run goes on on Vertex AI: https://console.cloud.google.com/" in said
    assert f"make report RUN={run_id} TARGET=stand-in" in said
    assert f"make cancel RUN={run_id} TARGET=stand-in" in said
    assert kit.runs()[0][0].state is State.RUNNING
    name = f"{server._JOBS}/{run_id}"
    assert stand_in.get(name)["state"] == "PIPELINE_STATE_RUNNING"
    ended = kit("cancel", run_id)
    assert ended.ok, ended.stderr
    done = kit("report", name)  # its whole name will do
    assert done.returncode == 1
    assert "the run was cancelled" in done.stderr or "cancelled" in done.stderr
    run = kit.runs()[-1][0]
    assert (run.id, run.state) == (run_id, State.CANCELLED)
    again = kit("cancel", run_id)
    assert again.returncode == 1
    assert "is over: it was cancelled" in again.stderr


@pytest.mark.long
def test_what_the_target_says_is_in_the_request(kit: Kit, stand_in: StandIn) -> None:
    file = kit.folder / "t.toml"
    keys: dict[str, Any] = {
        "service_account": "runs@stand-in-project.iam.gserviceaccount.com",
        "network": "projects/12345/global/networks/private",
        "caching": False,
        "image_prefix": "europe-west4-docker.pkg.dev/stand-in-project/images",
    }
    text = server.targets(stand_in.address, **keys) + 'labels = { team = "birds" }\n'
    file.write_text(text)
    done = kit("run", SEEDED, "seed=8", f"--targets={file}")
    assert done.ok, done.stderr
    job = stand_in.jobs[f"{server._JOBS}/{id_of(done.stderr)}"].resource
    assert job["serviceAccount"] == keys["service_account"]
    assert job["network"] == keys["network"]
    assert job["labels"]["team"] == "birds"
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    images = {one["container"]["image"] for one in executors.values()}
    assert all(image.startswith(f"{keys['image_prefix']}/kfpkit/") for image in images)
    tasks = job["pipelineSpec"]["root"]["dag"]["tasks"]
    assert tasks["draw"]["cachingOptions"] == {"enableCache": False}


@pytest.mark.long
def test_a_schedule_is_made_replaced_fired_and_deleted(kit: Kit, stand_in: StandIn) -> None:
    every = ("schedule", "set", SEEDED, "seed=9", "--schedule=nightly")
    made = kit(*every, "--cron=0 30 6 * * 1-5")
    assert made.ok, made.stderr
    assert "made the schedule nightly" in made.stderr
    (schedule,) = stand_in.schedules.values()
    assert schedule["cron"] == "30 6 * * 1-5"
    assert int(schedule["maxConcurrentRunCount"]) == 1
    assert "is there already" in kit(*every, "--cron=0 30 6 * * 1-5").stderr
    replaced = kit(*every, "--every=6h")
    assert "replaced the schedule nightly" in replaced.stderr, replaced.stderr
    (schedule,) = stand_in.schedules.values()
    assert schedule["cron"] == "0 */6 * * *"
    listed = kit("schedule", "list")
    assert re.search(r"nightly +cron 0 \*/6 \* \* \* \(UTC\) +enabled", listed.stdout), listed
    run_id = stand_in.fire("nightly")
    done = kit("report", run_id)
    assert done.ok, done.stderr
    run = kit.runs()[-1][0]
    assert {one.name: one.value for one in run.parameters} == {"fail": False, "seed": 9}
    none = kit("schedule", "delete", "weekly", "--yes")
    assert "there is no schedule weekly on stand-in. There: nightly" in none.stderr
    assert kit("schedule", "delete", "nightly", "--yes").ok
    assert not stand_in.schedules
    assert "there are no recurring runs" in kit("schedule", "list").stderr
