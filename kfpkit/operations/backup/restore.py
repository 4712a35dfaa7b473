"""Putting a backup back.

Everything that can fail is done beside what is in use: the dump is loaded under another name, and
objects are only added. Then all tables change places in one statement. Until then a failure leaves
the installation as it was; afterwards `make restore` goes on from where it stood, which the record
of `operations.lock` tells.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, join_names
from kfpkit.kfp import indexes, object_store
from kfpkit.kfp.database import (
    BEFORE,
    DATABASES,
    LOADING,
    PIPELINES,
    Database,
    quoted,
    reached,
)
from kfpkit.kfp.releases import PATHS, release
from kfpkit.kfp.states import FINAL
from kfpkit.kube import health, render
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import lock
from kfpkit.operations.backup import holding, objects
from kfpkit.operations.backup.create import DUMP, RECURRING, SECRETS, objects_of, portable
from kfpkit.operations.backup.manifest import NAME, OBJECTS, digest, require_whole
from kfpkit.operations.lock import Operation, restore_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kfpkit.kfp.target import Target
    from kfpkit.operations.backup.manifest import Manifest
    from kfpkit.operations.lock import Lock, Record

#: What to do where a restore was done, and the parts do not start.
AGAIN = (
    "make backup-resume starts what is still held; another restore begins from nothing, and drops "
    "what is kept of before this one"
)

#: What goes on where parts are to be started, and nothing else.
START = {"again": "make backup-resume", "back": ""}

#: Name and UUID of every recurring run of the database.
JOBS = f"SELECT JSON_ARRAY(Name, UUID) FROM {PIPELINES}.jobs;"


def restore(
    target: Target,
    folder: Path,
    *,
    confirm: Callable[[str], bool],
    timeout: float,
    again: str = AGAIN,
) -> None:
    """Put a backup back into an installation, which is made if it is not there.

    Args:
        target: Where to.
        folder: The backup.
        confirm: Asked before anything changes, with what will be.
        timeout: Seconds to wait for the parts of the installation.
        again: What to do where the parts do not start.

    Raises:
        BadInputError: The backup does not fit the overlay, or the user says no.
        KitError: Something failed; the text says what state that leaves and how to go on.
    """
    began = time.monotonic()
    manifest = require_whole(folder)
    require_fit(manifest, target)
    wanted = {workload["metadata"]["name"] for workload in render.workloads(target.documents)}
    installed = target.has_namespace() and wanted <= {
        item["metadata"]["name"] for item in target.items(["deployments", "statefulsets"])
    }
    question = (
        f"Put {manifest.runs} runs of {manifest.made} into the namespace {target.namespace} of "
        f"{target.context}?"
    )
    if process.dry_run():
        console.say(question)
        _show(target, folder, installed=installed)
        return
    if not installed:
        _ask(confirm, question)
    with lock.held(target, Operation.RESTORE) as mine:
        if not installed:
            _secrets(target, folder)
            lifecycle.install(target, timeout=timeout)
        with reached(target) as database:
            going_on, there = _swapped(mine.record, database, folder), database.runs()
            if (installed or there) and not going_on:
                loss = f"{question} Its {there} runs go out of use; those under way are lost."
                _ask(confirm, loss, installed=installed)
                _secrets(target, folder)
            if not going_on:
                _prepare(target, database, folder, manifest, mine)
            try:
                holding.stop(target, holding.WRITERS)
                _replace_objects(target, database, folder)
                _rename_recurring(target, database)
                # Before the start: the same command would remove the Workflows of runs since.
                mine.note("starts all components", folder="", backup="", **START)
            except BaseException:
                console.warn(
                    "the backup's databases are in use: the same command goes on from here"
                )
                raise
        try:
            holding.start(target)
            mine.note("waits for all components", again="", back="")
            lifecycle.wait_until_ready(
                target, timeout=timeout, again="make status says how it stands"
            )
        except BaseException:
            console.warn(f"the backup is in use: {again}")
            raise
        indexes.ensure(target)  # A backup of an installation without them has none.
    console.say(f"{manifest.runs} runs are back after {time.monotonic() - began:.0f} s")
    drop = " ".join(f"DROP DATABASE {name}{BEFORE};" for name in DATABASES)
    console.say(f"what was there before is kept until you run: {drop}")


def resume(target: Target) -> list[str]:
    """Start the parts that a backup or restore which was killed holds, and return their names.

    Raises:
        BadInputError: A restore has put its databases into use, and must go on to its end.
    """
    with lock.held(target, Operation.RESUME) as mine:
        if mine.record.folder:
            with reached(target) as database:
                if not database.answers:
                    console.say("not shown: whether a restore has put its databases into use")
                    return []
                database.settle()
                if not database.loaded():
                    raise BadInputError(
                        f"a restore has put the databases of {mine.record.folder} into use already",
                        f"{mine.record.again} goes on with it",
                    )
            mine.note("starts all components", folder="", backup="", **START)
        return holding.start(target)


def require_same(record: Record, folder: Path) -> None:
    """Raise where a restore has put another backup's databases into use.

    Raises:
        BadInputError: One has.
    """
    if record.folder and record.backup != digest(folder / NAME).sha256:
        raise BadInputError(
            f"the restore of {record.folder} is not at its end",
            f"{restore_command(record.folder)} goes on with it",
        )


def _ask(confirm: Callable[[str], bool], question: str, *, installed: bool = True) -> None:
    if not confirm(question):
        done = "nothing was changed" if installed else "KFP is installed, and nothing else"
        raise BadInputError(done)


def require_fit(manifest: Manifest, target: Target) -> None:
    """Raise unless a backup may be put into what an overlay installs.

    Raises:
        BadInputError: The overlay's release takes no data of its release over, or its artifacts
            name another bucket.
    """
    wanted = release(target.documents)
    if manifest.release != wanted and (manifest.release, wanted) not in PATHS:
        raise BadInputError(
            f"the backup is of release {manifest.release}, the overlay {target.overlay} of "
            f"{wanted}",
            f"Restore into {manifest.release} with OVERLAY=, then upgrade",
        )
    bucket = object_store.place(target).bucket
    if manifest.bucket != bucket:
        raise BadInputError(
            f"the backup's artifacts are named after the bucket {manifest.bucket}, and the overlay "
            f"{target.overlay} uses {bucket}",
            "Give the overlay a bucket of that name",
        )


def adapted(manifest: Manifest, namespace: str, tables: list[str]) -> str:
    """Return the SQL that makes a loaded dump true in the place it comes to.

    Args:
        manifest: The backup's manifest.
        namespace: Where it comes to.
        tables: Tables that have a column Namespace.
    """
    loaded = f"{PIPELINES}{LOADING}"
    final = ", ".join(f"'{state}'" for state in FINAL)
    # Their Workflows are not in the backup, and nothing would ever end them.
    lines = [
        f"UPDATE {loaded}.run_details SET State = 'FAILED', Conditions = 'Failed', "
        f"FinishedAtInSec = UNIX_TIMESTAMP() WHERE COALESCE(State, '') NOT IN ({final});"
    ]
    if namespace != manifest.namespace:
        old, new = quoted(manifest.namespace), quoted(namespace)
        lines += [
            f"UPDATE {loaded}.{table} SET Namespace = {new} WHERE Namespace = {old};"
            for table in tables
        ]
        lines.append(
            f"UPDATE {loaded}.resource_references SET ReferenceUUID = {new} "
            f"WHERE ReferenceType = 'Namespace' AND ReferenceUUID = {old};"
        )
        lines.append(
            f"UPDATE {loaded}.run_details SET WorkflowRuntimeManifest = REPLACE("
            f'WorkflowRuntimeManifest, \'"namespace":"{manifest.namespace}"\', '
            f'\'"namespace":"{namespace}"\');'
        )
    return "\n".join(lines)


def renamed(old: str, new: str) -> str:
    """Return the SQL that gives a recurring run the identity its object has in this cluster.

    KFP knows a recurring run by the UID of its ScheduledWorkflow, which Kubernetes chooses.
    """
    was, now = quoted(old), quoted(new)
    references = f"UPDATE {PIPELINES}.resource_references SET"
    return "\n".join(
        [
            f"UPDATE {PIPELINES}.jobs SET UUID = {now} WHERE UUID = {was};",
            f"UPDATE {PIPELINES}.run_details SET WorkflowRuntimeManifest = "
            f"REPLACE(WorkflowRuntimeManifest, {was}, {now}), JobUUID = {now} "
            f"WHERE JobUUID = {was};",
            f"{references} ResourceUUID = {now} WHERE ResourceUUID = {was};",
            f"{references} ReferenceUUID = {now} WHERE ReferenceUUID = {was};",
        ]
    )


def _prepare(
    target: Target, database: Database, folder: Path, manifest: Manifest, mine: Lock
) -> None:
    """Bring databases and artifacts to their place, and put the databases into use at last."""
    # What is noted of an earlier attempt would say that this one's databases are in use.
    again, back = restore_command(str(folder)), "make backup-resume"
    mine.note("brings databases and artifacts", folder="", backup="", again=again, back=back)
    swapping = False
    try:
        holding.stop(target, holding.WRITERS)
        holding.wait_for_prune(target)
        with object_store.opened(target) as store:
            put = objects.put(store, folder.parent / OBJECTS, manifest.artifacts)
            console.say(f"{put} artifacts put back, the others were there")
        database.load(folder / DUMP)
        tables = list(database.columns("Namespace", LOADING))
        database.execute(adapted(manifest, target.namespace, tables))
        swapping = True  # From here on there may be a note.
        named = {"backup": digest(folder / NAME).sha256, "folder": str(folder)}
        mine.note("puts the databases into use", back="", **named)
        database.swap()
    except BaseException:
        if swapping:
            # The server may be at it still, although its client was stopped.
            database.settle()
            if not database.loaded():
                console.warn("the backup's databases are in use: the same command goes on")
                raise
        console.warn(
            "nothing has changed but that objects were added: starting all components again"
        )
        # First the note, which fails where another command has taken over: they are that one's.
        mine.note("starts all components again", folder="", backup="", **START)
        holding.start(target)
        mine.note("all components started again", again="", back="")
        raise


def _swapped(record: Record, database: Database, folder: Path) -> bool:
    """Whether an earlier restore of this backup went as far as to put its databases into use.

    Raises:
        BadInputError: One of another backup did.
    """
    if not record.folder:
        return False
    database.settle()
    if database.loaded():
        return False
    require_same(record, folder)
    console.say("going on with the restore that was broken off")
    return True


def _secrets(target: Target, folder: Path) -> None:
    """Make the Secrets that are not there; those that are open what is there."""
    there = {item["metadata"]["name"] for item in target.items(["secrets"])}
    new = [s for s in _read(folder / SECRETS) if s["metadata"]["name"] not in there]
    for secret in new:
        target.run("create", "--filename", "-", stdin=json.dumps(secret))
    if new:
        console.say(f"Secrets put back: {join_names([s['metadata']['name'] for s in new])}")


def _replace_objects(target: Target, database: Database, folder: Path) -> None:
    """Remove the Workflows, whose runs are out of use, and have the backup's recurring runs."""
    target.run("delete", health.WORKFLOWS, "--selector", health.RUN)
    known = {name for name, _ in database.rows(JOBS)}
    wanted = {item["metadata"]["name"]: item for item in _read(folder / RECURRING)}
    for name in sorted(known ^ wanted.keys()):
        console.warn(f"recurring run {name} is not both in the dump and in {RECURRING}")
    there = {i["metadata"]["name"]: i["metadata"]["uid"] for i in target.items([health.SCHEDULED])}
    same = {n for n, uid in there.items() if n in wanted and wanted[n]["metadata"]["uid"] == uid}
    old = sorted(there.keys() - same)
    if old:
        target.run("delete", health.SCHEDULED, *old)
    for verb, names in (("replace", same), ("create", (wanted.keys() & known) - same)):
        if names:
            items = [portable(wanted[name]) for name in sorted(names)]
            text = {"apiVersion": "v1", "kind": "List", "items": items}
            target.run(verb, "--filename", "-", stdin=json.dumps(text))


def _rename_recurring(target: Target, database: Database) -> None:
    """Let the database know each recurring run by the UID that it has now."""
    now = {i["metadata"]["name"]: i["metadata"]["uid"] for i in target.items([health.SCHEDULED])}
    changes = [
        renamed(old, now[name])
        for name, old in database.rows(JOBS)
        if name in now and now[name] != old
    ]
    if changes:
        database.execute("\n".join(["START TRANSACTION;", *changes, "COMMIT;"]))


def _read(file: Path) -> list[dict[str, Any]]:
    return objects_of(json.loads(file.read_text(encoding="utf-8")))


def _show(target: Target, folder: Path, *, installed: bool) -> None:
    """Print the commands of a restore."""
    if not installed:
        process.run(target.apply)
    there = {workload["metadata"]["name"] for workload in render.workloads(target.documents)}
    writers = [name for name in holding.WRITERS if name in there]
    for name in writers:
        target.run("scale", f"deployment/{name}", "--replicas=0")
    console.say(f"would copy the artifacts of {folder} that the object store does not have")
    Database(target).load(folder / DUMP)
    console.say(f"would rename the tables of {LOADING} databases to the place of those in use")
    target.run("delete", health.WORKFLOWS, "--selector", health.RUN)
    target.run("create", "--filename", str(folder / RECURRING))
    for name in writers:
        target.run("scale", f"deployment/{name}", "--replicas=1")
