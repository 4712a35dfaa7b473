# ruff: noqa: S608 - SQL made of constants and ids
"""A backup of the installation on the kind cluster, put back into a namespace of its own."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core import process
from kfpkit.core.errors import KitError
from kfpkit.core.versions import ROOT
from kfpkit.core.waiting import wait_for
from kfpkit.kfp.database import CLIENT, METADATA, PIPELINES, Database, reached
from kfpkit.kfp.target import Target, choose
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import lock
from kfpkit.operations.backup import create, holding, inventory
from kfpkit.operations.backup.manifest import earlier, read
from kfpkit.operations.backup.restore import restore, resume
from kfpkit.operations.backup.verify import verify
from tests.support.backup_runs import CACHED, api, gone, killed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.kfp, pytest.mark.long, pytest.mark.timeout(3600)]

OVERLAY = str(ROOT / "tests/support/other-namespace")


def succeeded(target: Target) -> list[Any]:
    """Return id, pipeline and pipeline version of the penguins runs that succeeded."""
    return Database(target).rows(
        f"SELECT JSON_ARRAY(r.UUID, r.PipelineId, r.PipelineVersionId) FROM {PIPELINES}."
        f"run_details r JOIN {PIPELINES}.pipelines p ON p.UUID = r.PipelineId "
        "WHERE r.State = 'SUCCEEDED' AND p.Name = 'penguins' ORDER BY r.CreatedAtInSec;"
    )


@pytest.fixture(scope="module")
def source(cluster: str) -> Iterator[Target]:
    """The installation, with a run of the sample and a recurring run."""
    target = choose(context=cluster)
    try:
        lifecycle.wait_until_ready(target, timeout=300)
    except KitError:
        lifecycle.install(target, timeout=1800)
    with api(target) as client:
        if not succeeded(target):
            argv = [sys.executable, "-m", "kfpkit", "run", "penguins", "--target", "kind"]
            process.query(argv, cwd=ROOT, timeout=900)
        _, pipeline, version = succeeded(target)[-1]
        experiment = client.create_experiment("backup").experiment_id
        made = client.create_recurring_run(
            experiment,
            "yearly",
            cron_expression="0 0 3 1 1 *",
            pipeline_id=pipeline,
            version_id=version,
        )
        wait_for("the recurring run's state", lambda: unreported(target), timeout=120)
        yield target
        client.delete_recurring_run(made.recurring_run_id)


def unreported(target: Target) -> str | None:
    """Return a recurring run whose state the persistence agent has not told the database yet."""
    jobs = f"SELECT JSON_ARRAY(Name) FROM {PIPELINES}.jobs WHERE UpdatedAtInSec = CreatedAtInSec;"
    with reached(target) as database:
        return next((name for (name,) in database.rows(jobs)), None)


@pytest.fixture(scope="module")
def other(cluster: str) -> Iterator[Target]:
    """Where backups are put back: a namespace that is not there yet."""
    target = choose(overlay=OVERLAY, context=cluster)
    gone = [target.kubectl, "--context", cluster, "delete", "namespace", target.namespace]
    process.query([*gone, "--ignore-not-found", "--wait"], timeout=300)
    yield target
    process.query([*gone, "--wait"], timeout=300)


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backups")


@pytest.fixture(scope="module")
def expected(source: Target, backups: Path) -> inventory.Inventory:
    """What held before the backup was made and still did afterwards: the cluster is in use."""
    before = inventory.take(source)
    create.make(source, backups, wait=30)
    after = inventory.take(source)
    unfinished = {run.id for run in read(earlier(backups)[-1]).left_out}
    return {
        subject: {
            name: facts
            for name, facts in before[subject].items()
            if after[subject].get(name) == facts and name not in unfinished
        }
        for subject in before
    }


@pytest.fixture(scope="module")
def restored(other: Target, backups: Path, expected: inventory.Inventory) -> Target:
    """The second installation, made by a restore into nothing."""
    assert expected["run"]
    assert not other.has_namespace()
    restore(other, earlier(backups)[-1], confirm=lambda _: True, timeout=1800)
    return other


def missing(expected: inventory.Inventory, target: Target, *, artifacts: bool = False) -> list[str]:
    """Return what an installation lacks, or has otherwise than expected."""
    wanted = {k: v for k, v in expected.items() if artifacts or k != "artifact"}
    found = inventory.differences(wanted, inventory.take(target, artifacts=artifacts))
    return [line for line in found if not line.endswith(": new")]


def test_the_backup_can_be_proved(
    backups: Path, expected: inventory.Inventory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected["artifact"]
    verify(earlier(backups)[-1])
    assert "NOT PROVED" not in capsys.readouterr().err


def test_the_recurring_runs_go_on_after_a_backup(
    source: Target, expected: inventory.Inventory
) -> None:
    assert expected["recurring run"]
    (deployment,) = [
        item
        for item in source.items(["deployments"])
        if item["metadata"]["name"] in holding.SCHEDULER
    ]
    assert deployment["spec"]["replicas"] == 1
    assert lock.HELD not in deployment["metadata"]["annotations"]


def test_a_second_backup_copies_only_what_is_new(source: Target, backups: Path) -> None:
    first = read(earlier(backups)[-1]).artifacts
    times = {f: f.stat().st_mtime_ns for f in backups.glob("objects/*/*")}
    second = read(create.make(source, backups, wait=0)).artifacts
    assert {key: second[key] for key in first} == first
    assert {f: f.stat().st_mtime_ns for f in times} == times


def test_a_restore_elsewhere_lacks_nothing(restored: Target, expected: inventory.Inventory) -> None:
    assert missing(expected, restored) == []


def test_tasks_hit_the_cache_after_a_restore(restored: Target) -> None:
    run_id, pipeline, version = succeeded(restored)[-1]
    with api(restored) as client:
        said = client.get_run(run_id).runtime_config  # None where all are the defaults.
        parameters = said.parameters if said else {}
        experiment = client.create_experiment("after").experiment_id
        run = client.run_pipeline(
            experiment, "again", pipeline_id=pipeline, version_id=version, params=parameters
        )
        ended = client.wait_for_run_completion(run.run_id, timeout=900)
    assert ended.state == "SUCCEEDED"
    states = Database(restored).rows(
        f"SELECT JSON_ARRAY(e.last_known_state) FROM {METADATA}.Execution e "
        f"JOIN {METADATA}.Type t ON t.id = e.type_id AND t.name = 'system.ContainerExecution' "
        f"JOIN {METADATA}.Association a ON a.execution_id = e.id "
        f"JOIN {METADATA}.Context c ON c.id = a.context_id AND c.name = '{run.run_id}';"
    )
    assert states
    assert {state for (state,) in states} == {CACHED}


def test_a_recurring_run_starts_runs_after_a_restore(restored: Target) -> None:
    often = {"trigger": {"cronSchedule": None, "periodicSchedule": {"intervalSecond": 1}}}
    scheduled = next(
        item
        for item in restored.items(["scheduledworkflows.kubeflow.org"])
        if item["metadata"]["name"].startswith("yearly")
    )
    uid, name = scheduled["metadata"]["uid"], scheduled["metadata"]["name"]
    patch = json.dumps({"spec": {**often, "maxConcurrency": 1}})
    restored.run("patch", f"scheduledworkflow/{name}", "--type=merge", f"--patch={patch}")
    sql = f"SELECT JSON_ARRAY(UUID, State) FROM {PIPELINES}.run_details WHERE JobUUID = '{uid}';"
    try:
        wait_for(
            f"a run of {name}",
            lambda: None if Database(restored).rows(sql) else "none",
            timeout=300,
        )
    finally:
        restored.run("patch", f"scheduledworkflow/{name}", "--type=merge", "--patch", STOP)


STOP = json.dumps({"spec": {"enabled": False}})


def held(target: Target) -> set[str]:
    """Return the parts that are held."""
    return {
        item["metadata"]["name"]
        for item in target.items(["deployments"])
        if lock.HELD in item["metadata"].get("annotations", {})
    }


@pytest.mark.parametrize(
    "said",
    ["scale deployment/metadata-grpc --replicas=0", "gzip -dc", "delete workflows", "COMMIT"],
)
def test_a_restore_that_was_killed_is_started_again(
    restored: Target, backups: Path, expected: inventory.Inventory, said: str
) -> None:
    folder = earlier(backups)[0]
    killed(restored, said, "restore", "--backups", str(folder))
    assert held(restored) == set(holding.WRITERS)
    gone(restored)
    restore(restored, folder, confirm=lambda _: True, timeout=1800)
    assert not held(restored)
    assert missing(expected, restored) == []


def test_a_restore_that_was_killed_before_the_change_can_be_given_up(
    restored: Target, backups: Path
) -> None:
    before = inventory.take(restored, artifacts=False)
    killed(restored, "gzip -dc", "restore", "--backups", str(earlier(backups)[0]))
    gone(restored)
    assert set(resume(restored)) == set(holding.WRITERS)
    lifecycle.wait_until_ready(restored, timeout=600)
    assert inventory.differences(before, inventory.take(restored, artifacts=False)) == []


def test_a_database_outside_is_reached_by_a_pod_of_its_own(
    restored: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Database(restored).runs()
    monkeypatch.setattr(Database, "embedded", False)  # As if: its Service leads there all the same.
    with reached(restored) as outside:
        assert outside.runs() == runs > 0
        outside.dump(tmp_path / "dump.sql.gz")
    assert CLIENT not in {p["metadata"]["name"] for p in restored.items(["pods"])}


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL], ids=["politely", "at once"])
def test_recurring_runs_go_on_after_a_backup_that_was_killed(
    restored: Target, tmp_path: Path, by: int
) -> None:
    killed(restored, "mariadb-dump", "backup", "--backups", str(tmp_path), by=by)
    if by == signal.SIGKILL:
        assert held(restored) == set(holding.SCHEDULER)
        gone(restored)
        create.make(restored, tmp_path, wait=0)
    assert not held(restored)
    assert not list(tmp_path.glob("*.part")) or by == signal.SIGKILL


def test_a_run_under_way_is_left_out_and_failed_afterwards(
    restored: Target, tmp_path: Path
) -> None:
    _, pipeline, version = succeeded(restored)[-1]
    with api(restored) as client:
        experiment = client.create_experiment("left out").experiment_id
        run = client.run_pipeline(
            experiment,
            "left out",
            pipeline_id=pipeline,
            version_id=version,
        )
        folder = create.make(restored, tmp_path, wait=0)
    assert run.run_id in {left.id for left in read(folder).left_out}
    restore(restored, folder, confirm=lambda _: True, timeout=1800)
    with api(restored) as client:
        assert client.get_run(run.run_id).state == "FAILED"
