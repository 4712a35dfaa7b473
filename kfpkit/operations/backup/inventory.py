"""What an installation holds, written down, so that two can be compared."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from kfpkit.kfp import api, object_store
from kfpkit.kfp.database import METADATA, PIPELINES, reached
from kfpkit.kube import forward
from kfpkit.operations.backup import objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kfpkit.kfp.database import Database
    from kfpkit.kfp.target import Target

#: Facts by subject and name.
Inventory = dict[str, dict[str, Any]]

#: Each row is [name, fact, …]. A recurring run goes by its object's name: its id is its cluster's.
SUBJECTS = {
    "run": f"""SELECT JSON_ARRAY(r.UUID, r.DisplayName, r.State, r.StorageState, r.ExperimentUUID,
        r.PipelineVersionId, r.CreatedAtInSec, r.ScheduledAtInSec, r.FinishedAtInSec, j.Name)
        FROM {PIPELINES}.run_details r LEFT JOIN {PIPELINES}.jobs j ON j.UUID = r.JobUUID;""",
    "experiment": f"""SELECT JSON_ARRAY(UUID, Name, Description, StorageState)
        FROM {PIPELINES}.experiments;""",
    "pipeline": f"SELECT JSON_ARRAY(UUID, Name, Description) FROM {PIPELINES}.pipelines;",
    "pipeline version": f"""SELECT JSON_ARRAY(UUID, Name, PipelineId, SHA2(PipelineSpec, 256))
        FROM {PIPELINES}.pipeline_versions;""",
    "recurring run": f"""SELECT JSON_ARRAY(Name, DisplayName, Enabled, MaxConcurrency, NoCatchup,
        Schedule, IntervalSecond, ExperimentUUID, PipelineVersionId, SHA2(Parameters, 256))
        FROM {PIPELINES}.jobs;""",
    "metric": f"""SELECT JSON_ARRAY(CONCAT_WS('/', RunUUID, NodeID, Name), NumberValue, Payload)
        FROM {PIPELINES}.run_metrics;""",
    "cache entry": f"""SELECT JSON_ARRAY(UUID, Fingerprint, MLMDExecutionID, RunUUID)
        FROM {PIPELINES}.tasks;""",
}  # fmt: skip


def take(target: Target, *, artifacts: bool = True) -> Inventory:
    """Return what an installation holds.

    Metrics, artifacts' properties and lineage are the tables of the metadata, row by row.

    Args:
        target: Which installation.
        artifacts: Read every artifact too, for its SHA-256.
    """
    with reached(target) as database:
        inventory: Inventory = {
            subject: {str(name): facts for name, *facts in database.rows(sql)}
            for subject, sql in SUBJECTS.items()
        }
        inventory["metadata"] = dict(_metadata(database))
    if artifacts:
        with object_store.opened(target) as store:
            inventory["artifact"] = dict(objects.hashes(store))
    with forward.opened(target, forward.API) as address:
        inventory["run as the API tells it"] = {
            run["run_id"]: [run.get("state"), run.get("experiment_id")]
            for run in api.Client(f"http://{address}").all_runs()
        }
    return inventory


def differences(before: Inventory, after: Inventory) -> list[str]:
    """Return what is gone, changed or new, a line each."""
    lines = []
    for subject in sorted(before.keys() | after.keys()):
        old, new = before.get(subject, {}), after.get(subject, {})
        lines += [f"{subject} {name}: gone" for name in sorted(old.keys() - new.keys())]
        lines += [f"{subject} {name}: new" for name in sorted(new.keys() - old.keys())]
        lines += [
            f"{subject} {name}: {old[name]} became {new[name]}"
            for name in sorted(old.keys() & new.keys())
            if old[name] != new[name]
        ]
    return lines


def counts(inventory: Inventory) -> Mapping[str, int]:
    """Return how many facts there are of each subject."""
    return {subject: len(facts) for subject, facts in sorted(inventory.items())}


def _metadata(database: Database) -> Iterator[tuple[str, list[Any]]]:
    """Yield a name and a digest for each row of the metadata's tables."""
    columns: dict[str, list[str]] = {}
    for table, column in database.rows(
        "SELECT JSON_ARRAY(TABLE_NAME, COLUMN_NAME) FROM information_schema.COLUMNS "
        f"WHERE TABLE_SCHEMA = '{METADATA}' ORDER BY TABLE_NAME, ORDINAL_POSITION;"
    ):
        columns.setdefault(table, []).append(f"`{column}`")
    for table, names in columns.items():
        values = ", ".join(f"HEX(CAST({name} AS CHAR CHARACTER SET binary))" for name in names)
        for row in database.rows(f"SELECT JSON_ARRAY({values}) FROM {METADATA}.`{table}`;"):
            digest = hashlib.sha256(repr(row).encode()).hexdigest()
            yield f"{table} {digest}", []
