"""Uploads: what is no pipeline is refused, in words that help."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.kfp,
    pytest.mark.turn(1),
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("runs", "recurring"),  # So that they run from here on.
]

#: Files that are YAML but no pipeline. One that is no YAML at all is left out: neither release ever
#: answers it, and looking at it for ever takes a processor (docs/use/limits.md).
GARBAGE = {
    "text": b"this is a text",
    "an empty file": b"",
    "a list": b"- one\n- two\n",
    "another object": b"kind: Deployment\napiVersion: apps/v1\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_refused_with_the_reason(client: Any, tmp_path: Path, name: str) -> None:
    from kfp_server_api.exceptions import ApiException

    file = tmp_path / "garbage.yaml"
    file.write_bytes(GARBAGE[name])
    pipeline = f"garbage-{uuid.uuid4().hex[:8]}"
    with pytest.raises(ApiException) as refused:
        client.upload_pipeline(str(file), pipeline)
    assert "unknown template format: pipeline spec is invalid" in refused.value.body
    assert client.get_pipeline_id(pipeline) is None


def test_a_pipeline_with_a_field_the_server_does_not_know_is_refused(
    client: Any, compiled: Callable[..., Path], tmp_path: Path
) -> None:
    from kfp_server_api.exceptions import ApiException

    spec = yaml.safe_load(compiled("hello", "hello").read_text())
    spec["fromTheFuture"] = {}
    file = tmp_path / "future.yaml"
    file.write_text(yaml.safe_dump(spec))
    pipeline = f"future-{uuid.uuid4().hex[:8]}"
    with pytest.raises(ApiException) as refused:
        client.upload_pipeline(str(file), pipeline)
    # It does not say which field.
    assert "unknown template format: pipeline spec is invalid" in refused.value.body
    assert client.get_pipeline_id(pipeline) is None


def test_a_pipeline_and_its_second_version_are_taken_and_removed(
    client: Any, compiled: Callable[..., Path]
) -> None:
    name = f"hello-{uuid.uuid4().hex[:8]}"
    file = str(compiled("hello", "hello"))
    pipeline = client.upload_pipeline(file, name).pipeline_id
    second = client.upload_pipeline_version(file, "second", pipeline_id=pipeline)
    listed = client.list_pipeline_versions(pipeline, page_size=10).pipeline_versions
    assert {version.display_name for version in listed} == {name, "second"}
    assert second.pipeline_id == pipeline
    for version in listed:
        client.delete_pipeline_version(pipeline, version.pipeline_version_id)
    client.delete_pipeline(pipeline)
    assert client.get_pipeline_id(name) is None
