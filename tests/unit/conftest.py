"""A small backup, whole in every part, and as a real one is laid out."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import obstore
import pytest
from obstore.store import MemoryStore

from kfpkit.operations.backup import create, objects
from kfpkit.operations.backup.manifest import OBJECTS, Manifest, digest, write

if TYPE_CHECKING:
    from pathlib import Path
from tests.support.backups import ARTIFACTS, DUMP, SWF


@pytest.fixture
def store() -> MemoryStore:
    """An object store with a few artifacts."""
    made = MemoryStore()
    for key, content in ARTIFACTS.items():
        obstore.put(made, key, content)
    return made


@pytest.fixture
def backup(tmp_path: Path, store: MemoryStore) -> Path:
    """Return the folder of a backup."""
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
