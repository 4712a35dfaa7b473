"""Making a backup of an installation that goes on working."""

from __future__ import annotations

import json
import os
import shutil
import time
from bisect import bisect_left
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kfpkit.core import console, process
from kfpkit.core.errors import WaitTimeoutError, join_names
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import object_store, webhook
from kfpkit.kfp.database import DELETED, METADATA, Database, metadata_text, reached
from kfpkit.kfp.releases import release
from kfpkit.kube import health, render
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import lock
from kfpkit.operations.backup import holding, objects
from kfpkit.operations.backup.manifest import OBJECTS, Manifest, digest, earlier, read, write
from kfpkit.operations.lock import Operation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kfpkit.kfp.target import Target
    from kfpkit.operations.lock import Lock

DUMP = "databases.sql.gz"
SECRETS = "secrets.json"
RECURRING = "recurring-runs.json"
CONFIGURATION = "configuration.yaml"

#: Kinds of Secrets that people make. The others belong to Kubernetes or to a package manager.
KINDS = (
    "Opaque",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/tls",
    "kubernetes.io/basic-auth",
)

#: What Kubernetes adds to an object and a new cluster gives anew.
_ADDED = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "namespace")

#: Types of artifacts whose content is in the metadata; no object belongs to them.
WITHOUT_OBJECT = (
    "system.Metrics",
    "system.ClassificationMetrics",
    "system.SlicedClassificationMetrics",
)


def make(target: Target, to: Path, *, wait: float) -> Path:
    """Make a backup.

    Recurring runs are held until the databases are dumped. Artifacts are copied afterwards: they
    are written before the databases speak of them and are not changed, so the copy has all that
    the dump names.

    Args:
        target: What is to be backed up.
        to: Folder of the backups.
        wait: Seconds to wait for runs under way; those still not at their end are left out.

    Returns:
        The folder of the new backup.

    Raises:
        KitError: A part of the installation is not ready, or refuses.
    """
    began = time.monotonic()
    if process.dry_run():
        _show(target, to)
        return to
    with lock.held(target, Operation.BACKUP) as mine:
        # Those of an operation around this one are stopped on purpose.
        lifecycle.require_ready(target, but=holding.WRITERS if mine.inner else holding.SCHEDULER)
        folder, manifest, copied = _make(target, to, wait, mine)
    _report(manifest, folder, copied, time.monotonic() - began)
    return folder


def _make(target: Target, to: Path, wait: float, mine: Lock) -> tuple[Path, Manifest, int]:
    """Return the folder of the new backup, what is in it, and the bytes copied from the store."""
    made = datetime.now(UTC)
    folder = to / f"{made:%Y%m%dT%H%M%SZ}"
    part = folder.with_suffix(".part")
    to.mkdir(parents=True, mode=0o700, exist_ok=True)
    part.mkdir(mode=0o700)  # The folder may be there already, and be open to others.
    try:
        with reached(target) as database:
            with holding.stopped(target, holding.SCHEDULER, mine):
                drain(target, database, wait)
                left_out, runs = database.unfinished(), database.runs()
                database.dump(part / DUMP)
                _write(part / RECURRING, target.items([health.SCHEDULED]))
                _write(part / SECRETS, _secrets(target))
            uris = database.rows(URIS)
        text = yaml.safe_dump_all(target.documents, sort_keys=False)
        (part / CONFIGURATION).write_text(text, encoding="utf-8")
        mine.note("copies artifacts")
        before = earlier(to)
        known = read(before[-1]).artifacts if before else {}
        with object_store.opened(target) as store:
            artifacts, copied = objects.fetch(store, to / OBJECTS, known)
        bucket = object_store.place(target).bucket
        manifest = Manifest(
            made=f"{made:%Y-%m-%dT%H:%M:%SZ}",
            release=release(target.documents),
            overlay=target.overlay,
            context=target.context,
            namespace=target.namespace,
            bucket=bucket,
            images=sorted(render.images(target.documents)),
            runs=runs,
            left_out=left_out,
            lost=lost(uris, bucket, artifacts),
            parts={file.name: digest(file) for file in sorted(part.iterdir())},
            artifacts=artifacts,
        )
        write(manifest, part)
        os.sync()
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return folder, manifest, copied


def drain(target: Target, database: Database, wait: float) -> None:
    """Wait for a job that removes old runs, and for the runs under way.

    A run that has no Workflow any more cannot end.

    Args:
        target: Where the Workflows are.
        database: Says which runs have not ended.
        wait: Seconds.
    """

    def going() -> str | None:
        alive = {
            item["metadata"].get("labels", {}).get(health.RUN)
            for item in target.items([health.WORKFLOWS])
        }
        runs = [run.name for run in database.unfinished() if run.id in alive]
        return f"{len(runs)} under way: {join_names(runs)}" if runs else None

    holding.wait_for_prune(target)
    try:
        wait_for("the runs", going, timeout=wait, interval=3)
    except WaitTimeoutError as error:
        console.warn(f"{error.last_state}; not waited for any longer")


#: URI and type of every artifact of the metadata that was not pruned: the columns, and the rest.
URI_AND_TYPE = f"{metadata_text('a.uri')}, t.name"
OF_ARTIFACTS = (
    f"FROM {METADATA}.Artifact a JOIN {METADATA}.Type t ON t.id = a.type_id "
    f"WHERE a.uri <> '' AND COALESCE(a.state, 0) <> {DELETED};"
)
URIS = f"SELECT JSON_ARRAY({URI_AND_TYPE}) {OF_ARTIFACTS}"


#: Schemes by which KFP knows the installation's bucket. What it reads as `s3://` it reads with the
#: credentials of a task's own environment, from a store that is not ours.
SCHEMES = ("minio", "gs")


def lost(uris: Iterable[Any], bucket: str, keys: Iterable[str]) -> list[str]:
    """Return the URIs in the bucket that neither an object nor a folder of objects stands for.

    Args:
        uris: Pairs of a URI and the type of its artifact.
        bucket: The bucket; what is elsewhere is not judged.
        keys: Keys of the objects that are there.
    """
    there = sorted(keys)
    missing = set()
    for uri, kind in uris:
        ways = [] if kind in WITHOUT_OBJECT else _ours(uri, bucket)
        if ways and not any(
            _has(there, key) or _has(there, f"{key}/", begins=True) for key in ways
        ):
            missing.add(uri)
    return sorted(missing)


def elsewhere(uris: Iterable[Any], bucket: str) -> list[str]:
    """Return the URIs that name nothing in the bucket, as some importers' do; else as `lost`."""
    return sorted(
        {uri for uri, kind in uris if kind not in WITHOUT_OBJECT and not _ours(uri, bucket)}
    )


def portable(item: dict[str, Any]) -> dict[str, Any]:
    """Return an object without what belongs to its cluster."""
    kept = {k: v for k, v in item["metadata"].items() if k not in _ADDED}
    return {**item, "metadata": kept}


def _ours(uri: str, bucket: str) -> list[str]:
    return objects.keys(uri, bucket) if uri.partition("://")[0] in SCHEMES else []


def _has(there: list[str], text: str, *, begins: bool = False) -> bool:
    """Return whether a sorted list has a text, or one that begins with it."""
    next_one = there[place] if (place := bisect_left(there, text)) < len(there) else ""
    return next_one.startswith(text) if begins else next_one == text


def _secrets(target: Target) -> list[dict[str, Any]]:
    # The webhook's certificate is made anew with each installation.
    found = [s for s in target.items(["secrets"]) if s["metadata"]["name"] != webhook.SECRET]
    return [portable(s) for s in found if s.get("type") in KINDS]


def objects_of(written: Any) -> list[dict[str, Any]]:
    """Return the objects of a file of a backup; earlier ones are an array, not a List."""
    found: list[dict[str, Any]] = written if isinstance(written, list) else written["items"]
    return found


def _write(file: Path, items: list[dict[str, Any]]) -> None:
    """Write objects as `kubectl create` takes them; each keeps its UID, by which KFP knows it."""
    for item in items:
        item["metadata"].pop("resourceVersion", None)
    data = {"apiVersion": "v1", "kind": "List", "items": items}
    file.touch(mode=0o600)
    file.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _show(target: Target, to: Path) -> None:
    """Print what a backup would do."""
    database = Database(target)
    console.say(f"would make a backup of {target.namespace} on {target.context} in {to}:")
    target.run("scale", "deployment/scheduled-workflow", "--replicas=0")
    database.dump(Path(os.devnull))
    target.run("get", f"{health.SCHEDULED},secrets", "--output=json")
    target.run("scale", "deployment/scheduled-workflow", "--replicas=1")
    where = object_store.place(target)
    console.say(f"would copy new objects of the bucket {where.bucket} from {where.host}")


def _report(manifest: Manifest, folder: Path, copied: int, seconds: float) -> None:
    for run in manifest.left_out:
        console.warn(f"the run {run.name} ({run.id}) is {run.state}: restored, it is failed")
    if manifest.lost:
        console.warn(
            f"{len(manifest.lost)} artifacts are not in the object store, among them "
            f"{manifest.lost[0]}"
        )
    console.say(
        f"{manifest.runs} runs, {len(manifest.artifacts)} artifacts "
        f"({copied / 1e6:.1f} MB of them new) after {seconds:.0f} s"
    )
    console.out.print(str(folder), markup=False)
