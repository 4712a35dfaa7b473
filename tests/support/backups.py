"""The content of a small backup."""

from __future__ import annotations

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
