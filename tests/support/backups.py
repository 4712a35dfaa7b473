"""The content of a small backup."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import obstore
from obstore.store import MemoryStore

from kfpkit.operations.backup import create, objects
from kfpkit.operations.backup.manifest import OBJECTS, Manifest, digest, write

if TYPE_CHECKING:
    from pathlib import Path

    from obstore.store import ObjectStore

ARTIFACTS = {
    "v2/artifacts/penguins/1/train/model": b"a model",
    "v2/artifacts/penguins/1/evaluate/report/index.html": b"<p>fine</p>",
    "artifacts/penguins-x/main.log": b"",
}

#: As much of the two schemas as is asked about.
DUMP = """
CREATE DATABASE `mlpipeline`;
USE `mlpipeline`;
CREATE TABLE experiments (UUID varchar(255));
CREATE TABLE pipelines (UUID varchar(255));
CREATE TABLE pipeline_versions (UUID varchar(255), PipelineId varchar(255));
CREATE TABLE jobs (Name varchar(255), UUID varchar(255));
CREATE TABLE tasks (UUID varchar(255), MLMDExecutionID varchar(255));
CREATE TABLE run_details (UUID varchar(255), ExperimentUUID varchar(255), State varchar(255),
  WorkflowRuntimeManifest longtext);
INSERT INTO experiments VALUES ('e');
INSERT INTO run_details VALUES ('1', 'e', 'SUCCEEDED', '{}');
INSERT INTO jobs VALUES ('yearly', 'uid');
CREATE DATABASE `metadb`;
USE `metadb`;
CREATE TABLE Type (id int, name varchar(255));
CREATE TABLE Artifact (id int, type_id int, uri text, state int);
CREATE TABLE Execution (id int);
CREATE TABLE Event (id int, execution_id int, artifact_id int);
INSERT INTO Type VALUES (1, 'system.Model'), (2, 'system.Metrics');
INSERT INTO Artifact VALUES
  (1, 1, 'minio://mlpipeline/v2/artifacts/penguins/1/train/model', 2),
  (2, 1, 'minio://mlpipeline/v2/artifacts/penguins/1/evaluate/report', NULL),
  (3, 2, 'minio://mlpipeline/v2/artifacts/penguins/1/evaluate/metrics', 2),
  (4, 1, 'gs://of-somebody-else/file', 2),
  (5, 1, 'minio://mlpipeline/v2/artifacts/penguins/0/train/pruned', 4);
-- Dump completed on 2026-11-24 12:03:00
"""

SWF = {"metadata": {"name": "yearly", "uid": "uid"}}


def small_store() -> MemoryStore:
    """Return an object store with `ARTIFACTS`."""
    store = MemoryStore()
    for key, content in ARTIFACTS.items():
        obstore.put(store, key, content)
    return store


def make_backup(tmp_path: Path, store: ObjectStore) -> Path:
    """Make a backup of what a store has, with `DUMP`, and return its folder."""
    folder = tmp_path / "backups" / "20261124T120300Z"
    folder.mkdir(parents=True)
    (folder / create.DUMP).write_bytes(gzip.compress(DUMP.encode()))
    for name, items in ((create.RECURRING, [SWF]), (create.SECRETS, [])):
        (folder / name).write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    (folder / create.CONFIGURATION).write_text("---\n")
    artifacts, _ = objects.fetch(store, folder.parent / OBJECTS, {})
    manifest = Manifest(
        made="2026-11-24T12:03:00Z",
        release="2.14.3",
        overlay="kind-packages",
        context="kind-kfp",
        namespace="kubeflow",
        bucket="mlpipeline",
        images=[],
        runs=1,
        parts={file.name: digest(file) for file in folder.iterdir()},
        artifacts=artifacts,
    )
    write(manifest, folder)
    return folder
