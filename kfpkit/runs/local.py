"""Running a pipeline on this machine through kfp's own local runner."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import threading
import warnings
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kfpkit import process
from kfpkit.errors import KitError
from kfpkit.runs import spec as ir
from kfpkit.runs.run import Artifact, Run, State, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from kfpkit.runs.progress import Progress
    from kfpkit.runs.run import Parameter
    from kfpkit.runs.spec import Spec

#: In a run's folder: the log of kfp and of all tasks.
LOG = "run.log"

#: In a run's folder: where kfp puts the outputs, as <pipeline>-<time>/<task>/<output>.
PIPELINE_ROOT = "outputs"

#: How many of the last lines of a failed task's output are kept as its error.
ERROR_LINES = 30

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def choose_runner(spec: Spec) -> Any:
    """Return kfp's runner for a pipeline: a subprocess a task, or a container where one is needed.

    Raises:
        KitError: The pipeline needs containers, and no Docker engine answers or an image of the
            pipeline is not there.
    """
    from kfp import local

    from components.image import RUNTIME_IMAGE

    needing = ir.container_components(spec)
    if not needing:
        # Without a virtual environment of its own: a task sees what uv.lock has installed, and
        # nothing is installed at run time.
        return local.SubprocessRunner(use_venv=False)
    if not process.query(["docker", "info"], check=False, timeout=30).ok:
        raise KitError(
            f"this pipeline has container components ({', '.join(needing)}), "
            "and no Docker engine answers",
            "Start Docker, or run a pipeline of Python components, which needs none",
        )
    for image in ir.images(spec):
        if not process.query(["docker", "image", "inspect", image], check=False).ok:
            raise KitError(
                f"this pipeline runs in the image {image}, which the Docker engine does not have",
                "Build it with `IMAGES=upstream make images NAMES=python-runtime`, and without "
                "`IMAGES=upstream` where Docker Hub cannot be reached"
                if image == RUNTIME_IMAGE
                else f"Pull it: docker pull {image}",
            )
    # As this user: the image's own may not write into the run's folder.
    return local.DockerRunner(user=f"{os.getuid()}:{os.getgid()}")


def new_folder(runs: Path, pipeline: str, now: datetime) -> Path:
    """Make and return the folder of a new run, `<pipeline>-<local time>`."""
    stem = f"{pipeline}-{now.astimezone():%Y%m%d-%H%M%S}"
    number = 1
    while True:
        folder = runs / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def run(
    component: Any,
    spec: Spec,
    parameters: Sequence[Parameter],
    folder: Path,
    runner: Any,
    progress: Progress,
) -> Run:
    """Run a pipeline to its end, good or bad, and return the description of the run.

    Args:
        component: The function that `@dsl.pipeline` decorated.
        spec: What it compiles to.
        parameters: All parameters of the run.
        folder: The run's own folder; takes the log and the outputs.
        runner: What `choose_runner` returned.
        progress: Is told of the tasks and of each change of their states.

    Raises:
        InterruptedRun: The user interrupted; it holds the cancelled run.
    """
    from kfp import local

    values = {parameter.name: parameter.value for parameter in parameters}
    description = Run(
        id=folder.name,
        pipeline=spec["pipelineInfo"]["name"],
        pipeline_version=ir.version(spec),
        target="local",
        state=State.RUNNING,
        created=_now(),
        parameters=list(parameters),
        tasks=ir.tasks(spec, values),
        description=spec["pipelineInfo"].get("description", ""),
        log=LOG,
    )
    interrupted: KeyboardInterrupt | None = None
    local.init(runner, pipeline_root=str(folder / PIPELINE_ROOT), raise_on_error=False)
    progress.show(description.tasks)
    description.started = _now()
    with (folder / LOG).open("w", encoding="utf-8") as log:
        watcher = _Watcher(description.tasks, log, progress.changed)
        with watcher.listening():
            try:
                component(**{p.name: p.value for p in parameters if p.differs})
            except KeyboardInterrupt as error:
                interrupted = error
            except Exception as error:
                description.error = f"{type(error).__name__}: {error}"
                log.write(description.error + "\n")
    if watcher.refused:
        raise watcher.refused
    description.finished = _now()
    _close(description, watcher, cancelled=interrupted is not None)
    for task in description.tasks:
        _collect(task, spec, folder)
    if interrupted:
        raise InterruptedRun(description)
    return description


class InterruptedRun(KeyboardInterrupt):
    """The user interrupted a run; holds what there is of it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__()


class _Watcher(io.TextIOBase):
    """Learns from kfp's own messages which task runs, and takes down what everything prints.

    kfp's local runner has no callback, and the outputs in the pipeline root tell of a failure only
    by what is missing. What it does give, in a fixed form since its first release, is a log record
    at the start and at the end of every task. They are taken as records from a filter on the root
    logger, not as text from the output: kfp replaces the handlers for the length of a task, and
    lets the filters be; and a record comes in the thread that runs the task, which tells the output
    of parallel tasks apart. A test of each message runs real tasks, so a new kfp that words them
    otherwise is noticed.
    """

    _EXECUTING = re.compile(r"Executing task '(?P<component>.+)'")
    _FINISHED = re.compile(r"Task '(?P<component>.+)' finished with status (?P<status>[A-Z]+)")
    _RETRYING = re.compile(r"Task (?P<task>\S+) failed \(attempt \d+/\d+\)")
    _SKIPPING = re.compile(r"Skipping (?P<conditional>conditional )?task (?P<task>\S+?):? ")

    def __init__(self, tasks: list[Task], log: TextIO, on_change: Callable[[Task], None]) -> None:
        self._tasks = tasks
        self._log = log
        self._on_change = on_change
        self._lock = threading.RLock()
        self._of_thread: dict[int, Task] = {}
        self._tails: dict[str, deque[str]] = {}
        self._rest: dict[int, str] = {}
        #: Why the log takes no more, as on a full disk. Raised here it would end in a traceback of
        #: `logging`, again and again.
        self.refused: OSError | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take kfp's records, everything printed, and warnings, for the length of a `with`."""
        root = logging.getLogger()
        level, handlers = root.level, root.handlers[:]
        root.handlers[:] = [logging.StreamHandler(self)]
        # kfp sets the level for the length of a task only; between tasks it logs as well.
        root.setLevel(logging.INFO)
        root.addFilter(self._take)
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(self):
                warnings.simplefilter("default")
                warnings.showwarning = self._take_warning
                yield
        finally:
            root.removeFilter(self._take)
            root.setLevel(level)
            root.handlers[:] = handlers

    def error_of(self, task: Task) -> str:
        """Return the end of a task's output: the last traceback, or else the last lines."""
        lines = list(self._tails.get(task.name, ()))
        starts = [place for place, line in enumerate(lines) if line.startswith("Traceback (")]
        return "\n".join(lines[starts[-1] :] if starts else lines)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Append to the log, and to the tail of the task whose thread writes."""
        with self._lock:
            plain = _ANSI.sub("", text)
            try:
                self._log.write(plain)
                self._log.flush()
            except OSError as error:
                self.refused = self.refused or error
            thread = threading.get_ident()
            *lines, rest = (self._rest.get(thread, "") + plain).split("\n")
            self._rest[thread] = rest
            if task := self._of_thread.get(thread):
                tail = self._tails.setdefault(task.name, deque(maxlen=ERROR_LINES))
                # kfp indents what a task prints by four spaces.
                tail.extend(line.removeprefix("    ") for line in lines if line.strip())
        return len(text)

    def _take_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        del filename, lineno, file, line
        self.write(f"{category.__name__}: {message}\n")

    def _take(self, record: logging.LogRecord) -> bool:
        message = _ANSI.sub("", record.getMessage())
        with self._lock:
            at = datetime.fromtimestamp(record.created, UTC)
            if match := self._EXECUTING.match(message):
                self._start(match["component"], at)
            elif match := self._FINISHED.match(message):
                self._finish(match["component"], match["status"], at)
            elif match := self._RETRYING.match(message):
                self._write_state(match["task"], State.RUNNING)
            elif match := self._SKIPPING.match(message):
                skipped = State.SKIPPED if match["conditional"] else State.NOT_RUN
                self._write_state(match["task"], skipped)
        return True

    def _start(self, component: str, at: datetime) -> None:
        for task in self._tasks:
            if task.component == component:
                # A loop runs it again and again: it started with the first round.
                task.started = task.started or at
                task.finished = None
                self._of_thread[threading.get_ident()] = task
                self._change(task, State.RUNNING)

    def _finish(self, component: str, status: str, at: datetime) -> None:
        self._of_thread.pop(threading.get_ident(), None)
        for task in self._tasks:
            if task.component == component:
                task.finished = at
                # A failed round of a loop is not mended by a good one after it.
                good = status == "SUCCESS" and not (task.error and task.state is State.RUNNING)
                task.error = task.error if good else self.error_of(task)
                self._change(task, State.SUCCEEDED if good else State.FAILED)

    def _write_state(self, name: str, state: State) -> None:
        """Set the state of a task that kfp names as its graph does; of a graph, all its tasks."""
        for task in self._tasks:
            parts = task.name.split("/")
            if name in parts:
                if state is State.RUNNING:
                    task.error = ""  # the next attempt decides
                self._change(task, state)

    def _change(self, task: Task, state: State) -> None:
        task.state = state
        self._on_change(task)


def _close(run: Run, watcher: _Watcher, *, cancelled: bool) -> None:
    """Give the run and its unfinished tasks the state they end with."""
    for task in run.tasks:
        if task.state is State.RUNNING:
            task.finished = run.finished
            task.state = State.CANCELLED if cancelled else State.FAILED
            if not cancelled:
                task.error = run.error or watcher.error_of(task)
        elif task.state is State.PENDING:
            task.state = State.NOT_RUN
    if cancelled:
        run.state = State.CANCELLED
    elif run.failed or run.error:
        run.state = State.FAILED
    else:
        run.state = State.SUCCEEDED
        for task in run.tasks:
            if task.state is State.NOT_RUN:
                # Nothing failed, so it was in a branch that was not taken.
                task.state = State.SKIPPED


def _collect(task: Task, spec: Spec, folder: Path) -> None:
    """Read what a task left in the pipeline root: its output parameters and its artifacts."""
    declared = spec["components"][f"comp-{task.component}"].get("outputDefinitions", {})
    roots = sorted((folder / PIPELINE_ROOT).glob(f"*/{task.component}"))
    if not roots:
        return
    root = roots[-1]
    written = _executor_output(root / "executor_output.json")
    for name in declared.get("parameters", {}):
        if name in written.get("parameterValues", {}):
            task.outputs[name] = written["parameterValues"][name]
        elif (root / name).is_file():
            task.outputs[name] = (root / name).read_text(errors="replace")
    for name, declaration in declared.get("artifacts", {}).items():
        listed = written.get("artifacts", {}).get(name, {}).get("artifacts", [])
        entry = listed[0] if listed else {}
        path = root / name
        if not listed and not path.exists():
            continue
        task.artifacts.append(
            Artifact(
                name=name,
                type=declaration["artifactType"].get("schemaTitle", "system.Artifact"),
                uri=entry.get("uri", str(path)),
                path=str(path.relative_to(folder)) if path.exists() else "",
                metadata=entry.get("metadata", {}),
                size=_size(path) if path.exists() else None,
            )
        )


def _executor_output(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(), parse_constant=str)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _now() -> datetime:
    return datetime.now(UTC)
