"""One run of the stand-in: `python -m tests.support.vertex.worker FOLDER`.

Reads FOLDER/job.json; writes FOLDER/state.json, the tasks as they are, after each change, and
uploads what they have written first.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.auth.credentials import AnonymousCredentials

from kfpkit.kfp.run import Run, State
from kfpkit.kfp.values import as_passed
from kfpkit.runs.local import run as local
from kfpkit.runs.parameters import complete

if TYPE_CHECKING:
    from kfpkit.kfp.run import Artifact, Task

STATE = "state.json"


class Recorder:
    """Takes the place of the live table."""

    def __init__(self, folder: Path, output: str) -> None:
        self._folder = folder
        self._output = output
        self._tasks: list[Task] = []
        self._uris: dict[str, str] = {}
        self._lock = threading.RLock()
        self._began = datetime.now(UTC)
        anonymous = AnonymousCredentials()
        self._client = import_module("google.cloud.storage").Client("stand-in", anonymous)

    def show(self, tasks: list[Task]) -> None:
        self._tasks = tasks
        self.write(State.RUNNING)

    def changed(self, task: Task) -> None:
        assert task
        self.write(State.RUNNING)

    def write(self, state: State, error: str = "") -> None:
        with self._lock:
            over = datetime.now(UTC) if state is not State.RUNNING else None
            run = Run("", "", "", "", state, self._began, self._began, over, error=error)
            run.tasks = [self._placed(task) for task in self._tasks]
            new = self._folder / f"{STATE}.new"
            new.write_text(run.to_json(), encoding="utf-8")
            new.rename(self._folder / STATE)

    def _placed(self, task: Task) -> Task:
        return replace(
            task,
            artifacts=[self._uploaded(task, one) for one in list(task.artifacts)],
            rounds=[self._placed(one) for one in list(task.rounds)],
        )

    def _uploaded(self, task: Task, artifact: Artifact) -> Artifact:
        """Return an artifact with the URI that it has in the store; upload it once it is whole."""
        if artifact.uri.startswith("gs://"):  # imported
            return artifact
        ended = task.state in (State.SUCCEEDED, State.FAILED)
        if not ended:
            return replace(artifact, uri="")
        key = f"{task.name}.{artifact.name}"
        if key not in self._uris:
            bucket, _, prefix = self._output.removeprefix("gs://").partition("/")
            place = f"{prefix}/{task.name.replace('/', '_')}/{artifact.name}"
            if artifact.path:
                path = self._folder / artifact.path
                files = sorted(path.rglob("*")) if path.is_dir() else [path]
                for file in (one for one in files if one.is_file()):
                    inner = file.relative_to(path).as_posix() if path.is_dir() else ""
                    blob = self._client.bucket(bucket).blob(f"{place}/{inner}".rstrip("/"))
                    blob.upload_from_filename(str(file))
            self._uris[key] = f"gs://{bucket}/{place}"
        return replace(artifact, uri=self._uris[key])


def main(folder: Path) -> None:
    job: dict[str, Any] = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    recorder = Recorder(folder, job["output"])
    try:
        done = local.run(
            job["spec"],
            complete(job["spec"], as_passed(job["values"])),
            folder,
            recorder,  # type: ignore[arg-type]
            in_containers=local.needs_containers(job["spec"]),
        )
    except local.InterruptedRun as interrupted:
        done = interrupted.run
    recorder.write(done.state, done.error)


if __name__ == "__main__":
    os.environ.setdefault("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")  # never the real one
    main(Path(sys.argv[1]))
