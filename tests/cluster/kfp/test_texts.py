# ruff: noqa: S608 - SQL made of constants and ids
"""Every character, wherever Kubeflow Pipelines takes a text."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.kfp import metadata
from kfpkit.kfp.database import METADATA, Database, metadata_text
from kfpkit.kube import forward
from tests.support.pipelines.texts import TEXT
from tests.support.runs import HOST, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from obstore.store import S3Store

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.timeout(1200)]

#: Its run is started with all others, and waited for after them.
BEFORE, AFTER = pytest.mark.turn(1), pytest.mark.turn(4)


@pytest.fixture(scope="session")
def name() -> str:
    """A name that nothing had before."""
    return f"{TEXT} {uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def pipeline(client: Any, compiled: Callable[..., Path], name: str) -> Iterator[Any]:
    made = client.upload_pipeline(str(compiled("texts", "texts")), name, description=TEXT)
    yield made
    for version in client.list_pipeline_versions(made.pipeline_id).pipeline_versions:
        client.delete_pipeline_version(made.pipeline_id, version.pipeline_version_id)
    client.delete_pipeline(made.pipeline_id)


@pytest.fixture(scope="session")
def version(client: Any, compiled: Callable[..., Path], pipeline: Any, name: str) -> Any:
    return client.upload_pipeline_version(
        str(compiled("texts", "texts")),
        f"{name} 2",
        pipeline_id=pipeline.pipeline_id,
        description=TEXT,
    )


@pytest.fixture(scope="session")
def named(client: Any, name: str) -> Iterator[Any]:
    """An experiment."""
    made = client.create_experiment(name, description=TEXT)
    yield made
    client.archive_experiment(made.experiment_id)


@pytest.fixture(scope="session")
def run(client: Any, target: Target, version: Any, named: Any, name: str) -> Run:
    made = client.run_pipeline(
        named.experiment_id,
        name,
        params={"text": TEXT},
        pipeline_id=version.pipeline_id,
        version_id=version.pipeline_version_id,
    )
    return Run(client, target, HOST, made.run_id)


@BEFORE
@pytest.mark.usefixtures("run")
def test_a_pipeline_is_found_by_its_name(client: Any, pipeline: Any, name: str) -> None:
    assert client.get_pipeline_id(name) == pipeline.pipeline_id
    found = client.get_pipeline(pipeline.pipeline_id)
    assert (found.display_name, found.description) == (name, TEXT)


@BEFORE
def test_a_version_keeps_its_texts(client: Any, version: Any, name: str) -> None:
    found = client.get_pipeline_version(version.pipeline_id, version.pipeline_version_id)
    assert (found.display_name, found.description) == (f"{name} 2", TEXT)
    inputs = found.pipeline_spec["root"]["inputDefinitions"]["parameters"]
    assert inputs["default"]["defaultValue"] == TEXT


@BEFORE
def test_an_experiment_is_found_by_its_name(client: Any, named: Any, name: str) -> None:
    found = client.get_experiment(experiment_name=name)
    assert (found.experiment_id, found.description) == (named.experiment_id, TEXT)


@BEFORE
def test_a_recurring_run_keeps_its_texts(client: Any, version: Any, named: Any, name: str) -> None:
    made = client.create_recurring_run(
        named.experiment_id,
        name,
        description=TEXT,
        cron_expression="0 0 4 * * *",
        pipeline_id=version.pipeline_id,
        version_id=version.pipeline_version_id,
        params={"text": TEXT},
        enabled=False,
    )
    try:
        found = client.get_recurring_run(made.recurring_run_id)
        assert (found.display_name, found.description) == (name, TEXT)
        assert found.runtime_config.parameters["text"] == TEXT
    finally:
        client.delete_recurring_run(made.recurring_run_id)


@AFTER
def test_a_run_and_its_tasks_keep_their_texts(run: Run, name: str) -> None:
    run.finish()
    found = run.client.get_run(run.id)
    assert found.display_name == name
    assert found.runtime_config.parameters["text"] == TEXT
    assert f"read {TEXT}, {TEXT}, {TEXT} {TEXT}" in run.printed()


@AFTER
def test_the_metadata_has_the_texts(run: Run, target: Target) -> None:
    run.finish()
    with forward.opened(target, forward.METADATA) as address:
        found = {each.task: each for each in metadata.executions(address, run.id)}
    assert found["note-down"].inputs == {"text": TEXT, "default": TEXT}
    assert found["note-down"].outputs == {"Output": TEXT}
    (note,) = (each for each in found["note-down"].artifacts if each.name == "note")
    assert note.metadata[TEXT] == f"{TEXT} {TEXT}"


@AFTER
def test_the_database_names_the_file_as_the_store_does(
    run: Run, target: Target, store: S3Store
) -> None:
    """Else pruning would take it for one that no run refers to."""
    run.finish()
    listed = store.list(f"v2/artifacts/texts/{run.id}/note-down").collect()
    (there,) = (each for each in listed if not each["path"].endswith("/executor-logs"))
    assert there["path"].endswith(f"/note {TEXT}.txt")
    said = Database(target).rows(
        f"SELECT JSON_ARRAY({metadata_text('uri')}) FROM {METADATA}.Artifact "
        f"WHERE uri LIKE '%/{run.id}/note-down/%/note%'"
    )
    assert said == [[f"minio://mlpipeline/{there['path']}"]]
