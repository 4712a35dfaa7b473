"""A small backup, whole in every part, and a run, as real ones are; and Workflows in both forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.kfp.run import Artifact, Parameter, Run, State, Task
from kfpkit.kfp.workflow import Workflow
from tests.support.backups import make_backup, small_store
from tests.support.warm import warm
from tests.support.workflows import START, at

if TYPE_CHECKING:
    from pathlib import Path

    from obstore.store import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    """An object store with a few artifacts."""
    return small_store()


@pytest.fixture
def backup(tmp_path: Path, store: MemoryStore) -> Path:
    """Return the folder of a backup."""
    return make_backup(tmp_path, store)


@pytest.fixture(params=["driver pods", "warm driver"])
def either_driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the Workflows of a test read as they are, and once more as with the warm driver."""
    if request.param == "warm driver":
        read = Workflow.__init__
        monkeypatch.setattr(
            Workflow, "__init__", lambda seen, item=None: read(seen, warm(item or {}))
        )


@pytest.fixture
def run() -> Run:
    """A failed run: every state, parameters, metrics, both pictures, both documents."""
    classification: dict[str, Any] = {
        "confusionMatrix": {
            "annotationSpecs": [
                {"displayName": name} for name in ("Adelie", "Chinstrap", "Gentoo")
            ],
            "rows": [{"row": [29, 1, 0]}, {"row": [0, 14, 0]}, {"row": [0, 0, 25]}],
        },
        "confidenceMetrics": [
            {"confidenceThreshold": 1.0, "recall": 0.5, "falsePositiveRate": 0.0},
            {"confidenceThreshold": 0.2, "recall": 1.0, "falsePositiveRate": 0.25},
        ],
    }
    return Run(
        id="demo-20260329-120000",
        pipeline="demo",
        pipeline_version="sha256:0123456789ab",
        target="local",
        state=State.FAILED,
        created=START,
        started=START,
        finished=at(100),
        description="Shows everything",
        parameters=[
            Parameter("seed", "NUMBER_INTEGER", 7, 42, "Seed of the split"),
            Parameter("depths", "LIST", [1, 2], [1, 2]),
            Parameter("name", "STRING", "a" * 80),
        ],
        tasks=[
            Task(
                "data",
                "data",
                State.SUCCEEDED,
                at(0),
                at(20),
                outputs={"rows": 3},
                artifacts=[
                    Artifact(
                        "table",
                        "system.Dataset",
                        "/somewhere/table",
                        "outputs/table 1.csv",
                        {"rows": 344, "columns": ["a", "b"], "sha256": "f" * 64, "deep": [[1]]},
                        12_345,
                    )
                ],
            ),
            Task("train", "train", State.SUCCEEDED, at(20), at(60), depends_on=["data"]),
            Task(
                "evaluate",
                "evaluate",
                State.SUCCEEDED,
                at(60),
                at(99.5),
                depends_on=["train", "data"],
                artifacts=[
                    Artifact(
                        "metrics", "system.Metrics", "/x", "", {"accuracy": 0.98551, "rows": 69}
                    ),
                    Artifact(
                        "curves", "system.ClassificationMetrics", "s3://b/k", "", classification
                    ),
                    Artifact("page", "system.HTML", "/p", "outputs/page", {}, 40),
                    Artifact("card", "system.Markdown", "/c", "outputs/card", {}, 40),
                ],
            ),
            Task(
                "check",
                "check",
                State.FAILED,
                at(99.5),
                at(100),
                depends_on=["evaluate"],
                error="Traceback (most recent call last):\n  \nValueError: it is too low",
            ),
            Task("publish", "publish", State.NOT_RUN, depends_on=["check"]),
            Task("extra", "extra", State.SKIPPED, depends_on=["data"]),
            Task("stopped", "stopped", State.CANCELLED, at(1), at(2)),
        ],
        log="run.log",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of that run, with its documents."""
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/page").write_text("<!doctype html><h1>Inner page</h1>")
    (tmp_path / "outputs/card").write_text("# Card\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    return tmp_path
