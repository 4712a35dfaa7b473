"""The proof, without a cluster, that a backup can be put back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfpkit.core import console, process
from kfpkit.core.errors import KitError
from kfpkit.core.versions import version
from kfpkit.images import builder, cache, engine
from kfpkit.kfp.database import METADATA, PIPELINES, SHELL, read, require_complete
from kfpkit.kfp.states import FINAL
from kfpkit.operations.backup.create import (
    DUMP,
    OF_ARTIFACTS,
    RECURRING,
    URI_AND_TYPE,
    elsewhere,
    lost,
    objects_of,
)
from kfpkit.operations.backup.manifest import SHOWN, require_whole

if TYPE_CHECKING:
    from kfpkit.operations.backup.manifest import Manifest

SCRIPT = Path(__file__).with_name("load.sh")

#: Seconds that loading may take.
PATIENCE = 3600.0

_FINAL = ", ".join(f"'{state}'" for state in FINAL)

#: Each row is a JSON array that begins with what it is about.
QUESTIONS = f"""
SELECT JSON_ARRAY('runs', COUNT(*)) FROM {PIPELINES}.run_details;
SELECT JSON_ARRAY('job', Name, UUID) FROM {PIPELINES}.jobs;
SELECT JSON_ARRAY('uri', {URI_AND_TYPE}) {OF_ARTIFACTS}
SELECT JSON_ARRAY('odd', CONCAT('run ', r.UUID, ' is of an experiment that is not there'))
  FROM {PIPELINES}.run_details r LEFT JOIN {PIPELINES}.experiments e ON e.UUID = r.ExperimentUUID
  WHERE e.UUID IS NULL;
SELECT JSON_ARRAY('odd', CONCAT('run ', UUID, ' has ended and has no workflow'))
  FROM {PIPELINES}.run_details WHERE State IN ({_FINAL}) AND WorkflowRuntimeManifest = '';
SELECT JSON_ARRAY('odd', CONCAT('pipeline version ', v.UUID, ' has no pipeline'))
  FROM {PIPELINES}.pipeline_versions v LEFT JOIN {PIPELINES}.pipelines p ON p.UUID = v.PipelineId
  WHERE p.UUID IS NULL;
SELECT JSON_ARRAY('odd', CONCAT('event ', v.id, ' has no execution or no artifact'))
  FROM {METADATA}.Event v LEFT JOIN {METADATA}.Execution e ON e.id = v.execution_id
  LEFT JOIN {METADATA}.Artifact a ON a.id = v.artifact_id WHERE e.id IS NULL OR a.id IS NULL;
SELECT JSON_ARRAY('odd', CONCAT('cache entry ', t.UUID, ' is of an execution that is not there'))
  FROM {PIPELINES}.tasks t LEFT JOIN {METADATA}.Execution e ON e.id = t.MLMDExecutionID
  WHERE t.MLMDExecutionID <> '' AND e.id IS NULL;
"""


def verify(folder: Path) -> Manifest:
    """Prove that a backup can be put back.

    Every byte is compared with the manifest; the dump is loaded into a MariaDB made for it, on this
    machine or in Docker; and what is loaded is compared with the artifacts and recurring runs.

    Raises:
        KitError: Something is damaged or does not fit.
    """
    manifest = require_whole(folder)
    console.say(
        f"{len(manifest.parts)} files and {len(manifest.artifacts)} artifacts are as they were "
        "written"
    )
    argv = server()
    if argv is None:
        require_complete(folder / DUMP)
        console.warn(
            "NOT PROVED: there is neither mariadbd nor a Docker engine with MariaDB's image here, "
            "so the dump was read and not loaded; its rows were not compared with the artifacts"
        )
        return manifest
    with (folder / DUMP).open("rb") as dump:
        said = process.query([*argv, QUESTIONS], stdin_from=dump, timeout=PATIENCE).stdout
    recurring = objects_of(json.loads((folder / RECURRING).read_text(encoding="utf-8")))
    rows = read(said)
    found = troubles(manifest, rows)
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise KitError(
            f"the backup {folder} does not fit together: {'; '.join(found[:SHOWN])}{more}"
        )
    for odd in oddities(recurring, rows)[:SHOWN]:
        console.warn(f"it was so when it was backed up: {odd}")
    if manifest.lost:
        console.warn(
            f"it was so when it was backed up: {len(manifest.lost)} artifacts have no object, lost "
            f"or never written, among them {manifest.lost[0]}"
        )
    others = elsewhere([row[1:] for row in rows if row[0] == "uri"], manifest.bucket)
    if others:
        console.say(
            f"not in the backup, since they are not in its bucket: {len(others)} artifacts that "
            f"were imported, among them {others[0]}"
        )
    console.say(
        f"the dump loads into MariaDB; {manifest.runs} runs, their lineage, artifacts and "
        f"{len(recurring)} recurring runs fit together"
    )
    return manifest


def troubles(manifest: Manifest, rows: list[Any]) -> list[str]:
    """Return what in a loaded dump does not fit the rest of the backup.

    Args:
        manifest: The backup's manifest.
        rows: Answers to `QUESTIONS`.
    """
    (runs,) = [row[1] for row in rows if row[0] == "runs"]
    # Counted before the dump, so there may be more.
    found = [f"the dump has {runs} runs, not {manifest.runs}"] if runs < manifest.runs else []
    uris = [row[1:] for row in rows if row[0] == "uri"]
    gone = set(lost(uris, manifest.bucket, manifest.artifacts)) - set(manifest.lost)
    return found + [f"{uri} has no object" for uri in sorted(gone)]


def oddities(recurring: list[dict[str, Any]], rows: list[Any]) -> list[str]:
    """Return what did not fit together in the installation when it was backed up; else as above."""
    found = [row[1] for row in rows if row[0] == "odd"]
    jobs = {row[1]: row[2] for row in rows if row[0] == "job"}
    objects = {swf["metadata"]["name"]: swf["metadata"]["uid"] for swf in recurring}
    return found + [
        f"recurring run {name} is not the same in the database and as ScheduledWorkflow"
        for name in sorted(jobs.keys() | objects.keys())
        if jobs.get(name) != objects.get(name)
    ]


def server() -> list[str] | None:
    """Return the command that loads a dump, without the SQL to run on it, if there is a way."""
    script = SHELL + SCRIPT.read_text(encoding="utf-8")
    if shutil.which("mariadbd") and shutil.which("mariadb-install-db"):
        return ["bash", "-c", script, "load"]
    image = _image() if shutil.which("docker") and engine.answers() else None
    if image is None:
        return None
    options = ["--rm", "--interactive", "--network=none", "--entrypoint=bash"]
    return ["docker", "run", *options, "--user=999:999", image, "-c", script, "load"]


def _image() -> str | None:
    """Return MariaDB's image if the engine has it, or may load it from the cache of built ones."""
    built = f"kfpkit/mariadb:{version('MARIADB_VERSION')}"
    pulled = f"docker.io/library/mariadb:{version('UPSTREAM_MARIADB_VERSION')}"
    for image in (built, pulled):
        if process.query(["docker", "image", "inspect", image], check=False).ok:
            return image
    recipes, digests = builder.plan(["mariadb"])
    entry = cache.find("mariadb", digests["mariadb"]) if "mariadb" in recipes else None
    if entry is None:
        return None
    process.run(["docker", "load", "--quiet", "--input", str(entry.archive)])
    return built
