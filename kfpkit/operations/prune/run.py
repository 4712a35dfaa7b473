"""Pruning an installation.

The order makes it safe to be killed anywhere, and to be started again:

1. The cache entries of the runs that go, so that no task takes a result of theirs from now on. Then
   the drivers that were at work are waited for: one of them may have asked the cache just before,
   and has told the metadata of it when it has ended.
2. The logs of the runs, which nothing else refers to.
3. The runs, through the API, which also removes their Workflows.
4. With the runs gone, it is asked anew which of their artifacts a run that stays refers to. The
   others are marked as deleted in the metadata, and their files go last of all.

What is left of a run that is gone is found by the metadata each time, so nothing is noted anywhere.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from kfpkit.core import console
from kfpkit.core.errors import BadInputError, join_names
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import api, object_store
from kfpkit.kfp.database import (
    DELETED,
    METADATA,
    PIPELINES,
    Database,
    metadata_text,
    quoted,
    reached,
)
from kfpkit.kfp.states import ENDED
from kfpkit.kfp.workflow import Workflow
from kfpkit.kube import forward, health
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import lock
from kfpkit.operations.backup import objects
from kfpkit.operations.lock import BusyError, Operation
from kfpkit.operations.prune.plan import (
    ArtifactRow,
    Facts,
    Folder,
    Plan,
    Rule,
    RunRow,
    choose,
    plan,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from obstore.store import S3Store

    from kfpkit.kfp.target import Target

#: Seconds until a driver that is at work has ended.
DRIVING = 600.0

#: Selects the Workflows of runs that go on; Argo sets the second label.
UNFINISHED = f"{health.RUN},workflows.argoproj.io/completed!=true"

#: Seconds that the API may take to delete a run.
DELETING = 120

#: Artifacts named in one statement.
BATCH = 100

#: Runs that are listed one by one.
SHOWN = 20

#: Each row is a JSON array that begins with what it is about; all at one moment.
QUESTIONS = f"""
START TRANSACTION WITH CONSISTENT SNAPSHOT;
SELECT JSON_ARRAY('run', r.UUID, r.DisplayName, r.Name, COALESCE(r.State, ''),
    r.StorageState = 'ARCHIVED', COALESCE(e.Name, ''),
    COALESCE(p.Name, NULLIF(r.PipelineName, ''), ''),
    IF(r.FinishedAtInSec > 0, r.FinishedAtInSec, r.CreatedAtInSec))
  FROM {PIPELINES}.run_details r
  LEFT JOIN {PIPELINES}.experiments e ON e.UUID = r.ExperimentUUID
  LEFT JOIN {PIPELINES}.pipelines p ON p.UUID = r.PipelineId;
SELECT JSON_ARRAY('cache', RunUUID, COUNT(*)) FROM {PIPELINES}.tasks
  WHERE Fingerprint <> '' GROUP BY RunUUID;
SELECT JSON_ARRAY('folder', c.name, {metadata_text("p.string_value")},
    c.create_time_since_epoch DIV 1000)
  FROM {METADATA}.Context c
  JOIN {METADATA}.Type t ON t.id = c.type_id AND t.name = 'system.PipelineRun'
  JOIN {METADATA}.ContextProperty p ON p.context_id = c.id AND p.name = 'pipeline_root';
SELECT JSON_ARRAY('pipeline', c.name, p.name) FROM {METADATA}.Context c
  JOIN {METADATA}.Type t ON t.id = c.type_id AND t.name = 'system.PipelineRun'
  JOIN {METADATA}.ParentContext a ON a.context_id = c.id
  JOIN {METADATA}.Context p ON p.id = a.parent_context_id;
SELECT JSON_ARRAY('artifact', id, {metadata_text("uri")}, COALESCE(state, 0) = {DELETED})
  FROM {METADATA}.Artifact WHERE uri <> '';
SELECT DISTINCT JSON_ARRAY('use', v.artifact_id, c.name) FROM {METADATA}.Event v
  JOIN {METADATA}.Association s ON s.execution_id = v.execution_id
  JOIN {METADATA}.Context c ON c.id = s.context_id
  JOIN {METADATA}.Type t ON t.id = c.type_id AND t.name = 'system.PipelineRun';
COMMIT;
"""


def prune(target: Target, rule: Rule, *, apply: bool, confirm: Callable[[str], bool]) -> Plan:
    """Show what a rule lets go, and remove it if told to.

    Args:
        target: Which installation.
        rule: Which runs are old.
        apply: Remove; otherwise nothing is changed.
        confirm: Asked before anything is removed, with what will be.

    Returns:
        What went, or would.

    Raises:
        BadInputError: The installation is not whole, or the user says no.
        KitError: Something failed. Nothing is inconsistent then, and the same command goes on.
    """
    began = time.monotonic()
    bucket = object_store.place(target).bucket
    try:
        lock.require(target, Operation.PRUNE)
    except BusyError as busy:
        if not (target.inside and busy.found.alive):
            raise
        console.warn(f"{busy.found.said}; nothing is removed this time")
        return plan(Facts(bucket), [], rule, time.time())
    lifecycle.require_ready(target)
    if not Database(target).answers:
        console.say(
            "not shown, since a dry run makes no pod that asks a database outside the cluster: "
            "what would go; without DRY_RUN=1 and APPLY=1 it is shown, and nothing is removed"
        )
        return plan(Facts(bucket), [], rule, time.time())
    with reached(target) as database, object_store.opened(target) as store:
        now = time.time()
        facts = look(database, store, bucket)
        seen = plan(facts, choose(facts.runs.values(), rule, now), rule, now)
        _show(target, seen)
        if not apply or seen.empty:
            console.say("nothing to remove" if seen.empty else "nothing is removed: add APPLY=1")
            return seen
        if not confirm(f"Remove this from {target.namespace} on {target.context} for good?"):
            raise BadInputError("not confirmed: nothing has been removed")
        with lock.held(target, Operation.PRUNE):
            lifecycle.require_ready(target)  # The answer may have taken long.
            try:
                if seen.runs:
                    _forget(database, seen)
                    _wait_for_drivers(target)
                    seen = plan(facts, _ended(database, seen), rule, now)
                    _remove_runs(target, store, seen)
                # Asked anew: a run that began meanwhile may refer to an artifact. Only what was
                # shown.
                rest = plan(look(database, store, bucket), [], rule, now)
                files = {key: rest.files[key] for key in seen.files if key in rest.files}
                marked = sorted(set(seen.artifacts) & set(rest.artifacts))
                _mark(database, marked)
                console.say(f"deleting {len(files)} files from the bucket {bucket}")
                objects.remove(store, files)
            except BaseException:
                console.warn("not at its end: the same command goes on from here")
                raise
    done = replace(seen, files=files, artifacts=marked)
    console.say(
        f"removed {len(done.runs)} runs, {_amount(done.files)} of artifacts and "
        f"{_amount(done.logs)} of logs after {time.monotonic() - began:.0f} s"
    )
    return done


def look(database: Database, store: S3Store, bucket: str) -> Facts:
    """Return what there is: the objects of the bucket, and the databases at one moment."""
    # The objects first: one that is written later is of a run that goes on.
    sizes = {key: size for key, (_, size) in objects.listed(store).items()}
    return facts_of(database.rows(QUESTIONS), bucket, sizes)


def facts_of(rows: Iterable[list[Any]], bucket: str, sizes: Mapping[str, int]) -> Facts:
    """Return the facts.

    Args:
        rows: Answers to `QUESTIONS`.
        bucket: Name of the bucket.
        sizes: Bytes by key of each of its objects.
    """
    by: dict[str, list[list[Any]]] = {}
    for subject, *row in rows:
        by.setdefault(subject, []).append(row)
    # A run whose pipeline was never uploaded has its name in the metadata alone.
    names: dict[str, str] = dict(by.get("pipeline", []))
    uses: dict[int, set[str]] = {}
    for number, run_id in by.get("use", []):
        uses.setdefault(number, set()).add(run_id)
    runs = {}
    for run_id, name, workflow, state, archived, experiment, pipeline, ended in by.get("run", []):
        known = pipeline or names.get(run_id, "")
        runs[run_id] = RunRow(
            run_id, name, workflow, state, bool(archived), experiment, known, ended
        )
    return Facts(
        bucket=bucket,
        runs=runs,
        cached=dict(by.get("cache", [])),
        folders={run_id: Folder(uri, began) for run_id, uri, began in by.get("folder", [])},
        artifacts=[
            ArtifactRow(number, uri, bool(deleted), frozenset(uses.get(number, ())))
            for number, uri, deleted in by.get("artifact", [])
        ],
        objects=sizes,
    )


def _forget(database: Database, seen: Plan) -> None:
    """Remove the cache entries of the runs of a plan."""
    for some in _batches([quoted(run.id) for run in seen.runs]):
        database.execute(
            f"DELETE FROM {PIPELINES}.tasks "
            f"WHERE Fingerprint <> '' AND RunUUID IN ({', '.join(some)});"
        )


def _ended(database: Database, seen: Plan) -> list[RunRow]:
    """Return the runs of a plan but those that somebody has started again."""
    going = {run.id for run in database.unfinished()}
    for run in seen.runs:
        if run.id in going:
            console.warn(f"the run {run.name} ({run.id}) was started again: it stays")
    return [run for run in seen.runs if run.id not in going]


def _remove_runs(target: Target, store: S3Store, seen: Plan) -> None:
    """Remove the logs and runs of a plan."""
    console.say(f"deleting {len(seen.logs)} logs")
    objects.remove(store, seen.logs)
    with forward.opened(target, forward.API) as address:
        client = api.Client(f"http://{address}", DELETING)
        for run in seen.runs:
            _delete(client, run)


def _delete(client: api.Client, run: RunRow) -> None:
    console.say(f"deleting the run {run.name} ({run.id})")
    try:
        client.delete_run(run.id)
    except api.RefusedError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise


def _wait_for_drivers(target: Target) -> None:
    """Wait for the drivers that are at work now; those to come find no cache entry."""

    def working() -> dict[str, str]:
        pods = target.items(
            ["pods"], "--selector", health.RUN, "--field-selector=status.phase=Running"
        )
        names = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in pods}
        drivers = {uid: name for uid, name in names.items() if "-driver-" in name}
        # Those of the warm driver have no pod.
        for item in target.items([health.WORKFLOWS], "--selector", UNFINISHED):
            warm = [node for node in Workflow(item).nodes if node.warm]
            drivers |= {node.id: node.name for node in warm if node.phase not in ENDED}
        return drivers

    before = working()

    def going() -> str | None:
        names = [name for uid, name in working().items() if uid in before]
        return join_names(names) if names else None

    wait_for("the drivers that may have asked the cache", going, timeout=DRIVING)


def _mark(database: Database, artifacts: list[int]) -> None:
    """Mark artifacts as deleted."""
    for some in _batches([str(number) for number in artifacts]):
        database.execute(
            f"UPDATE {METADATA}.Artifact SET state = {DELETED}, last_update_time_since_epoch = "
            f"UNIX_TIMESTAMP() * 1000 WHERE id IN ({', '.join(some)});"
        )


def _batches(values: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(values), BATCH):
        yield values[first : first + BATCH]


def _show(target: Target, seen: Plan) -> None:
    """Print what goes."""
    for run in seen.runs[:SHOWN]:
        ended = datetime.fromtimestamp(run.ended, UTC)
        text = f"{run.id}  {ended:%Y-%m-%d %H:%M}  {run.state:<9}  {run.pipeline}: {run.name}"
        console.out.print(text, markup=False)
    if len(seen.runs) > SHOWN:
        console.out.print(f"and {len(seen.runs) - SHOWN} more")
    ids = {run.id for run in seen.runs}
    workflows = [
        item
        for item in target.items([health.WORKFLOWS], "--selector", health.RUN)
        if item["metadata"]["labels"][health.RUN] in ids
    ]
    for what, value in {
        "runs": len(seen.runs),
        "their Workflows": len(workflows),
        "their cache entries": seen.cached,
        "their logs": _amount(seen.logs),
        "runs deleted before that left artifacts": seen.left,
        "artifacts marked as deleted": len(seen.artifacts),
        "artifacts": _amount(seen.files),
        "artifacts that stay, for runs that stay": _amount(seen.shared),
    }.items():
        console.out.print(f"{what}: {value}", markup=False)


def _amount(objects_: Mapping[str, int]) -> str:
    return f"{len(objects_)} files ({sum(objects_.values()) / 1e6:.1f} MB)"
