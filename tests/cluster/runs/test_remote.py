"""`make run TARGET=kind` and `make schedule` as a person calls them, on the real cluster."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import kfp
import pytest
from kfp import compiler

from kfpkit.cluster import config as cluster
from kfpkit.core import process
from kfpkit.core.versions import ROOT
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import api
from kfpkit.kfp.run import Run, State
from kfpkit.kfp.states import FINAL
from kfpkit.kube.health import RUN, WORKFLOWS
from kfpkit.runs.report import page as report
from tests.support.odd_ends import NUMBERS, odd_ends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.long, pytest.mark.timeout(1800)]

HOST = os.environ.get("KFP_HOST", cluster.load().api)

#: A model that is wrong often, whatever the seed.
WEAK = "n_estimators=1 max_depth=1"

#: Outputs whose bytes the same code and the same seed always give.
SAME = ("train", "test", "transformed_train", "transformed_test", "preprocessing")


def make(*words: str, **environment: str) -> process.Result:
    """Call make as a person does: with variables on its command line."""
    # Whoever calls the tests through make has its variables in the environment, too.
    clean = {"MAKEFLAGS": "", "MAKEOVERRIDES": "", "MFLAGS": ""}
    variables = [f"{name}={value}" for name, value in environment.items()]
    return process.query(
        ["make", *words, *variables], cwd=ROOT, env=clean, check=False, timeout=1500
    )


def load(stdout: str) -> tuple[Run, Path]:
    """Return the run whose report an output names, and its folder."""
    match = re.search(r"^report: (\S+)$", stdout, flags=re.MULTILINE)
    assert match, stdout
    folder = (ROOT / match[1]).parent
    return Run.from_json((folder / "run.json").read_text()), folder


def metrics(run: Run) -> dict[str, Any]:
    """Return the metrics of a run; only its evaluation has some."""
    return {metric.name: metric.value for metric in report.metrics(run)}


@pytest.fixture(scope="module")
def seed() -> int:
    """A seed that no run had before, so that nothing of it is in the cache."""
    return int(time.time())


@pytest.fixture(scope="module")
def first(target: Target, seed: int) -> tuple[Run, Path, process.Result]:
    """A run of the sample on the cluster."""
    assert target
    done = make("run", TARGET="kind", ARGS=f"seed={seed} {WEAK} min_accuracy=0.1")
    assert done.ok, done.stderr
    return *load(done.stdout), done


def test_a_run_shows_its_tasks_and_leaves_a_report(
    first: tuple[Run, Path, process.Result],
) -> None:
    run, folder, done = first
    assert (run.state, run.target) == (State.SUCCEEDED, "kind")
    for task in run.tasks:
        assert task.state is State.SUCCEEDED
        assert not task.cached
        assert task.seconds
        assert f"✓ {task.name}: succeeded" in done.stderr
    assert "generate-data" in (folder / run.log).read_text()
    html = (folder / report.FILE).read_text()
    for part in ("Confusion matrix", "ROC curve", "Model card", '<iframe loading="lazy" sandbox'):
        assert part in html


def test_its_metrics_and_artifacts_are_those_of_the_same_run_on_this_machine(
    first: tuple[Run, Path, process.Result], seed: int
) -> None:
    run, folder, _ = first
    done = make("run", ARGS=f"seed={seed} {WEAK} min_accuracy=0.1")
    assert done.ok, done.stderr
    here, here_folder = load(done.stdout)
    assert run.pipeline_version == here.pipeline_version
    assert metrics(run) == metrics(here)
    assert metrics(run)["accuracy"]
    assert [p.value for p in run.parameters] == [p.value for p in here.parameters]

    def digests(of: Run, at: Path) -> dict[str, str]:
        return {
            f"{task.name}/{artifact.name}": hashlib.sha256(
                (at / artifact.path).read_bytes()
            ).hexdigest()
            for task in of.tasks
            for artifact in task.artifacts
            if artifact.name in SAME
        }

    assert digests(run, folder) == digests(here, here_folder)
    assert len(digests(run, folder)) == len(SAME)
    names = [[(t.name, a.name, a.type) for t in r.tasks for a in t.artifacts] for r in (run, here)]
    assert sorted(names[0]) == sorted(names[1])


def test_a_failing_run_names_its_task_and_says_why_and_takes_the_rest_from_the_cache(
    first: tuple[Run, Path, process.Result], seed: int
) -> None:
    assert first
    done = make("run", TARGET="kind", ARGS=f"seed={seed} {WEAK} min_accuracy=0.99")
    assert done.returncode
    assert "[Makefile:" in done.stderr
    assert "Error 1\n" in done.stderr
    assert "error: task check-accuracy failed:" in done.stderr
    excerpt = done.stderr.partition("check-accuracy failed:")[2]
    assert "min_accuracy" in excerpt
    run, folder = load(done.stdout)
    assert run.state is State.FAILED
    *others, check = run.tasks
    assert [task.state for task in others] == [State.SUCCEEDED] * len(others)
    assert all(task.cached for task in others)
    assert "✓ train: succeeded (from the cache)" in done.stderr
    assert check.state is State.FAILED
    assert "launcher_v2.go" not in check.error
    assert metrics(run) == metrics(first[0])
    assert "Task check-accuracy failed" in (folder / report.FILE).read_text()


def test_without_the_cache_every_task_runs(
    first: tuple[Run, Path, process.Result], seed: int
) -> None:
    assert first
    arguments = f"seed={seed} {WEAK} min_accuracy=0.1"
    done = make("run", TARGET="kind", CACHE="0", ARGS=arguments)
    assert done.ok, done.stderr
    run, _ = load(done.stdout)
    assert not any(task.cached for task in run.tasks)
    assert metrics(run) == metrics(first[0])


def test_after_ctrl_c_the_run_goes_on_and_can_be_followed(
    first: tuple[Run, Path, process.Result], seed: int, tmp_path: Path
) -> None:
    assert first
    # Python takes no notice of an interrupt where its parent, a shell's job, does not.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from kfpkit.cli import main; main()"
    )
    words = ("run", "penguins", "--target", "kind", "--runs", str(tmp_path))
    said = []
    with process.spawned(
        [sys.executable, "-c", code, *words, f"seed={seed}", *WEAK.split(), "min_accuracy=0.1"]
    ) as running:
        assert running.stdout
        for row in running.stdout:
            said.append(row)
            if "generate-data: running" in row:
                running.send_signal(signal.SIGINT)
        running.wait()
    text = "".join(said)
    assert running.returncode == 130, text
    assert "the run goes on on the cluster" in text
    assert "end it: curl --request POST" in text
    (folder,) = tmp_path.iterdir()
    left = Run.from_json((folder / "run.json").read_text())
    assert left.state is State.RUNNING
    assert f"make report RUN={left.id} TARGET=kind" in text
    done = make("report", RUN=left.id, TARGET="kind")
    assert done.ok, done.stderr
    run, _ = load(done.stdout)
    assert (run.id, run.state) == (left.id, State.SUCCEEDED)
    assert run.pipeline_version == left.pipeline_version
    assert [(p.name, p.value) for p in run.parameters] == [
        (p.name, p.value) for p in left.parameters
    ]
    assert metrics(run) == metrics(first[0])


def test_rounds_branches_imports_and_digits_are_read_as_they_are(
    target: Target, first: tuple[Run, Path, process.Result], tmp_path: Path
) -> None:
    imported = first[0].tasks[0].artifacts[0]
    file = tmp_path / "ends.yaml"
    compiler.Compiler().compile(odd_ends, str(file))
    made = kfp.Client(host=HOST).create_run_from_pipeline_package(
        str(file), arguments={"uri": imported.uri}, experiment_name="tests", enable_caching=False
    )
    for workflow in ("there", "gone"):
        done = make("report", RUN=made.run_id, TARGET="kind")
        assert done.returncode, workflow
        run, folder = load(done.stdout)
        rows = {row.name: row for row in run.rows}
        assert {name: row.state for name, row in rows.items()} == {
            "importer": State.SUCCEEDED,
            "for-loop-2[0]/ends": State.SUCCEEDED,
            "for-loop-2[1]/ends": State.FAILED,
            "condition-3/ends-2": State.SKIPPED,
        }
        assert "task for-loop-2[1]/ends failed" in done.stderr
        assert rows["for-loop-2[1]/ends"].error.endswith("failed by itself (exit code 3): bye")
        assert rows["for-loop-2[0]/ends"].artifacts[0].metadata == NUMBERS
        (artifact,) = rows["importer"].artifacts
        assert (artifact.uri, artifact.size) == (imported.uri, imported.size)
        assert (folder / artifact.path).stat().st_size == imported.size
        if workflow == "there":
            target.run("delete", WORKFLOWS, f"--selector={RUN}={made.run_id}")


@pytest.fixture
def name(target: Target) -> Iterator[str]:
    """A name for recurring runs; what has it is gone afterwards."""
    assert target
    chosen = f"tests {uuid.uuid4().hex[:8]}"
    yield chosen
    client: Any = api.connect(HOST)
    for one in client.list_recurring_runs(page_size=100).recurring_runs or []:
        if one.display_name == chosen:
            client.delete_recurring_run(one.recurring_run_id)


def test_a_schedule_is_made_once_fires_is_replaced_and_deleted(name: str, seed: int) -> None:
    more = {"SCHEDULE": name, "EXPERIMENT": name, "ARGS": f"seed={seed}"}
    made = make("schedule", CRON="*/5 * * * * *", **more)
    assert made.ok, made.stderr
    assert f"made the recurring run {name}" in made.stderr
    again = make("schedule", CRON="*/5 * * * * *", **more)
    assert f"the recurring run {name} is there already" in again.stderr
    listed = make("schedule").stdout
    assert listed.count(name) == 1
    assert re.search(rf"{name} +cron \*/5 \* \* \* \* \* \(UTC\) +enabled", listed)

    client: Any = api.connect(HOST)
    place = client.create_experiment(name).experiment_id

    def fired() -> str | None:
        runs = client.list_runs(experiment_id=place).runs
        return None if runs else "no run yet"

    wait_for("a run of the recurring run", fired, timeout=180)
    replaced = make("schedule", EVERY="6h", **more)
    assert replaced.ok, replaced.stderr
    assert f"replaced the recurring run {name}" in replaced.stderr
    listed = make("schedule").stdout
    assert listed.count(name) == 1
    assert re.search(rf"{name} +every 21600 s +enabled", listed)
    gone = make("unschedule", SCHEDULE=name, YES="1")
    assert gone.ok, gone.stderr
    assert name not in make("schedule").stdout
    left = client.list_runs(experiment_id=place).runs
    assert left
    assert {run.get("state") for run in left} <= set(FINAL)


def test_an_unknown_recurring_run_is_an_error(target: Target) -> None:
    assert target
    done = make("unschedule", SCHEDULE="no such thing", YES="1")
    assert not done.ok
    assert "error: there is no recurring run no such thing" in done.stderr
