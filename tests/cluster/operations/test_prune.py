# ruff: noqa: S608 - SQL made of constants and ids
"""Old runs of an installation of the test's own: pruned, killed in the middle, and gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.kfp.database import METADATA, PIPELINES, Database
from kfpkit.kube import health
from kfpkit.operations.backup import inventory
from kfpkit.operations.backup.create import lost
from kfpkit.operations.prune.plan import DAY, Rule
from kfpkit.operations.prune.run import prune
from tests.support import installation, steps
from tests.support.backup_runs import CACHED, api, killed
from tests.support.installation import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.long, pytest.mark.timeout(3600)]

MONTH = Rule(30 * DAY)

#: The state of an execution of the metadata that did its work.
COMPLETE = 3

BUCKET = "mlpipeline"


@pytest.fixture(scope="module")
def target(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """An installation in a namespace of its own."""
    folder = tmp_path_factory.mktemp("overlay")
    rule = {"pruneOlderThan": "30d", "pruneKeep": "0"}
    wanted = Wanted("kfp-prune-test", options=("prune",), parameters=rule)
    with installation.installed(folder, cluster, wanted) as made:
        yield made


def run(target: Target, *texts: str) -> list[str]:
    """Run the pipeline with each text at the same time, and return the runs' IDs."""
    with api(target) as client:
        pipeline = steps.keeping()
        started = [
            client.create_run_from_pipeline_func(pipeline, arguments={"text": text}).run_id
            for text in texts
        ]
        for run_id in started:
            done = client.wait_for_run_completion(run_id, timeout=1200, sleep_duration=2)
            assert done.state == "SUCCEEDED", done.error
    return started


def states(target: Target, run_id: str) -> list[int]:
    """Return how each step of a run ended, as the metadata says it."""
    rows = Database(target).rows(
        f"SELECT JSON_ARRAY(e.last_known_state) FROM {METADATA}.Execution e "
        f"JOIN {METADATA}.Type t ON t.id = e.type_id AND t.name = 'system.ContainerExecution' "
        f"JOIN {METADATA}.Association a ON a.execution_id = e.id "
        f"JOIN {METADATA}.Context c ON c.id = a.context_id AND c.name = '{run_id}';"
    )
    return [state for (state,) in rows]


def age(target: Target, *run_ids: str) -> None:
    """Let runs have been 40 days ago."""
    ids = ", ".join(f"'{run_id}'" for run_id in run_ids)
    past = 40 * DAY
    Database(target).execute(
        f"UPDATE {PIPELINES}.run_details SET CreatedAtInSec = CreatedAtInSec - {past}, "
        f"FinishedAtInSec = FinishedAtInSec - {past} WHERE UUID IN ({ids});\n"
        f"UPDATE {METADATA}.Context SET create_time_since_epoch = "
        f"create_time_since_epoch - {past}000 WHERE name IN ({ids});"
    )


def dead_hits(target: Target, artifacts: dict[str, Any]) -> list[str]:
    """Return the artifacts that the cache would hand out, and the object store has not."""
    uris = Database(target).rows(
        f"SELECT JSON_ARRAY(a.uri, y.name) FROM {PIPELINES}.tasks t "
        f"JOIN {METADATA}.Event v ON v.execution_id = t.MLMDExecutionID AND v.type = 4 "
        f"JOIN {METADATA}.Artifact a ON a.id = v.artifact_id "
        f"JOIN {METADATA}.Type y ON y.id = a.type_id WHERE t.Fingerprint <> '';"
    )
    return lost(uris, BUCKET, artifacts)


def of(run_id: str, artifacts: dict[str, Any]) -> dict[str, Any]:
    """Return the artifacts in the folder of a run, with their hashes."""
    return {key: value for key, value in artifacts.items() if f"/{run_id}/" in key}


def kept(target: Target, before: inventory.Inventory, run_ids: set[str]) -> None:
    """Fail unless these runs and all that they refer to are as they were."""
    after = inventory.take(target)
    assert run_ids <= after["run"].keys()
    assert {k: after["run"][k] for k in run_ids} == {k: before["run"][k] for k in run_ids}
    names = ", ".join(f"'{run_id}'" for run_id in run_ids)
    uris = Database(target).rows(
        f"SELECT DISTINCT JSON_ARRAY(a.uri, y.name) FROM {METADATA}.Context c "
        f"JOIN {METADATA}.Association s ON s.context_id = c.id "
        f"JOIN {METADATA}.Event v ON v.execution_id = s.execution_id "
        f"JOIN {METADATA}.Artifact a ON a.id = v.artifact_id "
        f"JOIN {METADATA}.Type y ON y.id = a.type_id WHERE c.name IN ({names});"
    )
    assert uris
    assert lost(uris, BUCKET, after["artifact"]) == []
    same = before["artifact"].items() & after["artifact"].items()
    assert len(same) == len(after["artifact"])
    assert dead_hits(target, after["artifact"]) == []


def test_what_is_old_goes_and_no_task_ever_gets_a_deleted_artifact(target: Target) -> None:
    shared, alone, twice = run(target, "shared", "alone", "twice")
    young, twin = run(target, "shared", "twice")
    assert set(states(target, young)) == set(states(target, twin)) == {CACHED}
    age(target, shared, alone, twice, twin)
    before = inventory.take(target)

    # It shows and touches nothing.
    seen = prune(target, MONTH, apply=False, confirm=lambda _: pytest.fail("asked"))
    assert {r.id for r in seen.runs} == {shared, alone, twice, twin}
    assert seen.shared.keys() == of(shared, before["artifact"]).keys()
    assert seen.shared
    assert inventory.differences(before, inventory.take(target)) == []

    # Killed wherever it changes something, it leaves nothing that contradicts.
    for said in ("DELETE FROM mlpipeline.tasks", "DELETE http", "UPDATE metadb.Artifact"):
        killed(target, said, "prune", "--older-than", "30d", "--apply")
        kept(target, before, {young})
    done = prune(target, MONTH, apply=True, confirm=lambda _: True)
    kept(target, before, {young})
    assert done.files
    assert prune(target, MONTH, apply=True, confirm=lambda _: pytest.fail("asked")).empty

    # What was to go is gone: runs, Workflows, logs, artifacts.
    after = inventory.take(target)
    assert after["run"].keys() == {young}
    assert {w["metadata"]["labels"][health.RUN] for w in target.items(["workflows"])} == {young}
    assert not of(alone, after["artifact"])
    assert not of(twice, after["artifact"])
    assert of(shared, after["artifact"]).keys() == seen.shared.keys()

    # A step whose result went does its work again, and so does one whose result stays.
    again, also = run(target, "alone", "shared")
    assert set(states(target, again)) == set(states(target, also)) == {COMPLETE}
    (hit,) = run(target, "alone")
    assert set(states(target, hit)) == {CACHED}

    # With the last run that refers to it, a shared artifact goes.
    age(target, young)
    prune(target, MONTH, apply=True, confirm=lambda _: True)
    kept(target, inventory.take(target), {again, also, hit})
    assert not of(shared, inventory.take(target)["artifact"])


def test_the_cronjob_removes_what_is_old(target: Target) -> None:
    old, young = run(target, "of yore", "of today")
    age(target, old)
    before = inventory.take(target)
    assert of(old, before["artifact"])

    target.run("create", "job", "now", "--from=cronjob/prune")
    ended = ("wait", "job/now", "--for=condition=Complete", "--timeout=600s")
    done = target.query(*ended, check=False).ok
    said = target.query("logs", "job/now", check=False).stdout
    assert done, said
    assert "removed 1 runs" in said

    kept(target, before, before["run"].keys() - {old})
    after = inventory.take(target)
    assert after["run"].keys() == before["run"].keys() - {old}
    assert young in after["run"]
    assert not of(old, after["artifact"])
