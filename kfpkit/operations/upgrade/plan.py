# ruff: noqa: S608 - SQL made of the kit's own names
"""What an upgrade would change, and whether it can be begun; nothing here changes anything."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, KitError, join_names
from kfpkit.core.findings import Verdict
from kfpkit.kfp import object_store, secrets
from kfpkit.kfp.database import DATABASES, PIPELINES, reached
from kfpkit.kfp.releases import PATHS, release
from kfpkit.kube import health
from kfpkit.kube.render import containers, with_pods
from kfpkit.kube.volumes import storage
from kfpkit.operations import gke
from kfpkit.operations import installation as lifecycle
from kfpkit.operations.backup import objects
from kfpkit.operations.backup.manifest import earlier, read
from kfpkit.operations.upgrade.applied import gone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kfpkit.kfp.database import Database
    from kfpkit.kfp.target import Target
    from kfpkit.kube.render import Document

#: The most characters that 2.15 and later leave a column; a longer value stops their first start.
#: Source: kubeflow/pipelines 2.17.0, backend/src/apiserver/validation/length.go.
LENGTHS = {
    "default_experiments": {"DefaultExperimentId": 191},
    "experiments": {"UUID": 191, "Name": 128, "Namespace": 63},
    "jobs": {"UUID": 191},
    "pipelines": {"UUID": 64, "Name": 128, "Namespace": 63},
    "pipeline_versions": {"UUID": 191, "Name": 127, "PipelineId": 64},
    "resource_references": {"ResourceUUID": 191, "ReferenceUUID": 191},
    "run_details": {"UUID": 191, "Namespace": 63, "ExperimentUUID": 64, "Conditions": 125},
    "run_metrics": {"RunUUID": 191, "NodeID": 191, "Name": 191},
    "tasks": {"UUID": 191, "RunUUID": 191},
}

#: Columns that get their foreign key anew: table, column, and the table whose UUID it names.
PARENTS = (
    ("pipeline_versions", "PipelineId", "pipelines"),
    ("run_metrics", "RunUUID", "run_details"),
    ("tasks", "RunUUID", "run_details"),
)

#: Lines shown of what changes in one object.
SHOWN = 20

_OBJECT = re.compile(r"/(?:[^/\s]*\.)?v\d\w*\.([A-Z]\w*)\.[^./\s]*\.([^/\s]+)$")


def require_path(source: str, to: str) -> None:
    """Raise unless the way from a release to another was tried.

    Raises:
        BadInputError: It was not.
    """
    if (source, to) in PATHS:
        return
    if _number(to) < _number(source):
        raise BadInputError(
            f"{source} to {to} is a downgrade: no release takes back the tables of a later one",
            "make rollback takes the last upgrade back; make restore puts a backup of then back",
        )
    tried = ", ".join(f"{one} to {other}" for one, other in PATHS)
    raise BadInputError(f"the way from {source} to {to} was not tried", f"Tried are: {tried}")


def show(old: Target, new: Target, backups: Path, wait: float) -> bool:
    """Print the plan.

    Args:
        old: What is installed.
        new: What is to be.
        backups: Folder of the backups.
        wait: Seconds that runs under way are waited for.

    Returns:
        Whether there is anything to do.

    Raises:
        KitError: The upgrade cannot be begun, with every reason.
    """
    source, to = release(old.documents), release(new.documents)
    require_path(source, to)
    secrets.missing(new)  # Raises where one is needed that cannot be made up.
    if gke.concerns(new) and not process.dry_run():
        gke.require(new)
    console.say(f"plan: {source} to {to}, overlay {new.overlay} in {new.namespace}, {new.context}")
    changes = changes_of(lifecycle.diff(new, do="make diff shows it"))
    removed = gone(old.documents, new.documents)
    for text in _images(old.documents, new.documents):
        console.say(f"  image    {text}")
    for (kind, name), (what, lines) in changes.items():
        console.say(f"  {what:<8} {kind}/{name}")
        more = [f"and {len(lines) - SHOWN} lines more: make diff"] if len(lines) > SHOWN else []
        for line in [*lines[:SHOWN], *more]:
            console.say(f"             {line}")
    for item in removed:
        console.say(f"  removed  {item['kind']}/{item['metadata']['name']}")
    if not changes and not removed:
        return False
    for text in PATHS[source, to]:
        console.say(f"  {text}")
    troubles = [
        f"the store {d['metadata']['name']} would go, and an upgrade moves no data"
        for d in removed
        if d["kind"] == "StatefulSet"
    ]
    away = lifecycle.not_ready(old)
    troubles += [f"not ready: {join_names(away)}"] if away else []
    with reached(old) as database:
        if not database.answers:
            console.say(
                "  not shown, since a dry run makes no pod that asks a database outside the "
                "cluster: runs under way, its size, and what in it would stop the upgrade"
            )
        elif PATHS[source, to]:
            troubles += preflight(database)
        _runs(old, database, wait)
        troubles += _room(old, database, backups)
    if troubles:
        raise KitError(
            f"not begun, nothing was changed: {'; '.join(troubles)}",
            "docs/operate/upgrade.md, 'What stops it', says what to do about each",
        )
    return True


def preflight(database: Database) -> Iterator[str]:
    """Yield what would make the new API server end at its first start."""
    sql = [
        f"SELECT JSON_ARRAY('{table}.{column}', {most}, COUNT(*)) FROM {PIPELINES}.{table} "
        f"WHERE CHAR_LENGTH({column}) > {most};"
        for table, columns in LENGTHS.items()
        for column, most in columns.items()
    ]
    for where, most, count in database.rows("\n".join(sql)):
        if count:
            yield f"{count} values of {where} are longer than {most} characters"
    sql = [
        f"SELECT JSON_ARRAY('{table}', '{parent}', COUNT(*)) FROM {PIPELINES}.{table} c LEFT JOIN "
        f"{PIPELINES}.{parent} p ON p.UUID = c.{column} WHERE p.UUID IS NULL;"
        for table, column, parent in PARENTS
    ]
    for table, parent, count in database.rows("\n".join(sql)):
        if count:
            yield f"{count} rows of {table} belong to no row of {parent}"


def _runs(target: Target, database: Database, wait: float) -> None:
    """Print what an upgrade waits for, and what it pauses."""
    if database.answers:
        runs = [f"{run.name} ({run.state})" for run in database.unfinished()]
        console.say(f"  runs under way: {join_names(runs)}; waited for: {wait:.0f} s at most")
    scheduled = target.items([health.SCHEDULED])
    console.say(f"  recurring runs, paused until the end: {len(scheduled)}")


def _room(target: Target, database: Database, backups: Path) -> Iterator[str]:
    """Print how much room there is; yield what there is too little of."""
    for finding in storage(target):
        console.say(f"  room: {finding.evidence}")
        if finding.verdict is Verdict.FAULT:
            yield finding.evidence
    size, what = 0.0, "without the databases the backup takes"
    if database.answers:
        size, what = _size(database), "the backup takes"
    before = earlier(backups)
    known = read(before[-1]).artifacts if before else {}
    with object_store.opened(target) as store:
        needed = size + sum(
            size for key, (_, size) in objects.listed(store).items() if key not in known
        )
    parent = next(p for p in (backups, *backups.absolute().parents) if p.exists())
    free = shutil.disk_usage(parent).free
    said = f"{backups}: {what} at most {needed / 1e6:.0f} MB, {free / 1e6:.0f} are free"
    console.say(f"  room: {said}")
    if free < needed:
        yield said


def _size(database: Database) -> float:
    """Return how many bytes the databases have."""
    names = ", ".join(f"'{name}'" for name in DATABASES)
    ((size,),) = database.rows(
        "SELECT JSON_ARRAY(COALESCE(SUM(DATA_LENGTH), 0)) FROM information_schema.TABLES "
        f"WHERE TABLE_SCHEMA IN ({names});"
    )
    return float(size)


def changes_of(text: str) -> dict[tuple[str, str], tuple[str, list[str]]]:
    """Return the objects of a `kubectl diff` by kind and name: added or changed, and the lines."""
    found: dict[tuple[str, str], tuple[str, list[str]]] = {}
    key = ("", "")
    for line in text.splitlines():
        if line.startswith("diff "):
            match = _OBJECT.search(line)
            key = (match[1], match[2]) if match else ("object", line)
            found[key] = ("changed", [])
        elif line.startswith("@@ -0,0 "):
            found[key] = ("added", [])
        elif line.startswith(("+", "-")) and not line.startswith(("+++", "---")):
            what, lines = found[key]
            if what == "changed" and not re.match(r". {2}generation:", line):
                lines.append(line)
    return found


def _images(old: list[Document], new: list[Document]) -> Iterator[str]:
    """Yield each container whose image becomes another."""
    before, after = (
        {
            f"{workload['metadata']['name']}/{container['name']}": container["image"]
            for workload in with_pods(documents)
            for container in containers(workload)
        }
        for documents in (old, new)
    )
    for where in sorted(before.keys() & after.keys()):
        if before[where] != after[where]:
            yield f"{where}: {before[where]} to {after[where]}"


def _number(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
