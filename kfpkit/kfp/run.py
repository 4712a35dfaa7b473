"""What a run is, wherever it ran: the description that is stored beside a report.

Nothing here knows where a pipeline runs: whoever runs one fills a `Run`, and the report is made
from it alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from kfpkit.core.errors import BadInputError
from kfpkit.kfp.values import as_number_text

#: Name of the description's file in a run's folder.
FILE = "run.json"

#: Written into the file; to be raised when a reader of the old form would misread the new one.
FORMAT = 3

#: What is read: what 3 has beside 2 is absent there, as where it is not known.
READ = (2, FORMAT)

#: The number of a round in a row's name: `for-loop-1[0]/train`.
ROUND = re.compile(r"\[(\d+)\]")


class Phase(StrEnum):
    """What a task's time went into."""

    #: For its turn after all that it depends on, for a node, and between two attempts.
    WAITING = "waiting"
    #: KFP resolves its inputs and looks into the cache.
    DRIVER = "driver"
    #: Its images and containers, or its packages, are made ready.
    START = "start"
    #: Its own program runs.
    WORK = "work"


class State(StrEnum):
    """State of a run or of a task."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    #: Left out by the pipeline's own logic: a condition that did not hold.
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    #: The run ended before the task's turn came.
    NOT_RUN = "not run"


#: States of rounds by what they make of their task, the worst first.
_WORST = (
    State.FAILED,
    State.CANCELLED,
    State.RUNNING,
    State.PENDING,
    State.NOT_RUN,
    State.SUCCEEDED,
    State.SKIPPED,
)


@dataclass(frozen=True)
class Parameter:
    """An input parameter of a run.

    Attributes:
        name: As the pipeline declares it.
        type: The IR's parameter type, for example `NUMBER_INTEGER`.
        value: What the run was given, or the default.
        default: The pipeline's default; None where it has none.
        description: The pipeline's own words on it.
    """

    name: str
    type: str
    value: Any
    default: Any = None
    description: str = ""

    @property
    def differs(self) -> bool:
        """Whether the value is not the default: 1 and true are two values, 1 and 1.0 are one."""
        return _canonical(self.value) != _canonical(self.default)


@dataclass(frozen=True)
class Artifact:
    """An output artifact of a task.

    Attributes:
        name: The output's name.
        type: The artifact type's schema title, for example `system.Dataset`.
        uri: Where the task wrote it; empty where it wrote no file.
        path: The file or folder, relative to the run's folder; empty when it is not there.
        metadata: JSON values by key.
        size: Bytes, also where it was too large to bring here; None when there is no file.
        rounded: Keys of the metadata whose numbers are only known with six decimals.
        sha256: Of the file, or of a folder as `kfp.digest` has it, in hex; empty where its bytes
            are not here.
    """

    name: str
    type: str
    uri: str
    path: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    size: int | None = None
    rounded: list[str] = field(default_factory=list)
    sha256: str = ""


@dataclass
class Task:
    """A task of a run. A task inside a condition, a loop or a pipeline is named `outer/inner`.

    A task inside a loop holds its rounds, each a task named `for-loop-1[0]/inner`. Its own state is
    that of all of them together; inputs, outputs, artifacts and errors are the rounds'.

    Attributes:
        name: Unique in the run.
        component: The component it is an instance of.
        display_name: What the pipeline calls it for people; empty where that is its name.
        depends_on: Names of the tasks it waits for.
        inputs: Values of its input parameters, as far as they are known.
        input_artifacts: By input name, the `task.output` each comes from.
        outputs: Values of its output parameters.
        artifacts: Its output artifacts.
        error: The end of its output, when it failed.
        cached: Whether KFP took its outputs from an earlier run instead of running it.
        rounds: Of a task inside loops, one task for each round that is known of, in order.
        phases: Seconds by `Phase`, of all attempts; without those that are not known. What is left
            of the time it took went into nothing of these. Of a cluster's tasks they are exact to
            a second, as its times are.
        spans: The same as a timeline: the phase, seconds from `started` to its begin (below zero
            before it), and its seconds.
        cached_from: ID of the run that made its outputs, where they are an earlier run's; empty
            where that is not known.
    """

    name: str
    component: str
    state: State = State.PENDING
    started: datetime | None = None
    finished: datetime | None = None
    depends_on: list[str] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)
    input_artifacts: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    error: str = ""
    cached: bool = False
    display_name: str = ""
    rounds: list[Task] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)
    spans: list[tuple[str, float, float]] = field(default_factory=list)
    cached_from: str = ""

    @property
    def seconds(self) -> float | None:
        """Seconds it took; None unless it started and finished."""
        return _seconds(self.started, self.finished)

    def spend(self, phase: Phase, begin: datetime | None, end: datetime | None) -> None:
        """Take note of what some of the time went into; of what is not known, none is taken."""
        seconds = _seconds(begin, end)
        if not (self.started and begin) or seconds is None or seconds < 0:
            return
        self.phases[str(phase)] = self.phases.get(phase, 0) + seconds
        if seconds:
            offset = (begin - self.started).total_seconds()
            self.spans = sorted([*self.spans, (str(phase), offset, seconds)], key=lambda s: s[1])


@dataclass
class Run:
    """A run of a pipeline.

    Attributes:
        id: Unique among the runs of its target.
        pipeline: The pipeline's name.
        pipeline_version: What tells this compiled pipeline from others of the name.
        target: Where it ran, for example `local`.
        description: The pipeline's own words on itself.
        error: Why it failed, where no task's error says so.
        log: The run's log, relative to the run's folder; empty when there is none.
        link: Where a web page shows the run; empty when there is none.
        command: The command of a shell that runs it again with the same parameters; empty where
            it is not known how it was started.
        explanation: Of a run that failed: why in a sentence, and what helps below it, a line each;
            a line that begins with four blanks is a command. Empty where nothing is known.
    """

    id: str
    pipeline: str
    pipeline_version: str
    target: str
    state: State
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    parameters: list[Parameter] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    description: str = ""
    error: str = ""
    log: str = ""
    link: str = ""
    command: str = ""
    explanation: str = ""

    @property
    def seconds(self) -> float | None:
        """Seconds it took; None unless it started and finished."""
        return _seconds(self.started, self.finished)

    @property
    def rows(self) -> list[Task]:
        """All that ran or was to run: the tasks, and in place of one inside loops its rounds."""
        return [row for task in self.tasks for row in (task.rounds or [task])]

    @property
    def failed(self) -> list[Task]:
        """The rows that failed."""
        return [row for row in self.rows if row.state is State.FAILED]

    @property
    def first_failed(self) -> Task | None:
        """The row that failed first; None where none did."""
        return min(self.failed, key=lambda row: row.finished or self.created, default=None)

    def to_json(self) -> str:
        """Return the description as JSON text; times are ISO 8601 with their offset.

        JSON has no NaN and no infinity: they become the texts that protobuf's JSON has for them.
        """
        data = _finite({"format": FORMAT, **asdict(self)})
        return json.dumps(data, indent=2, default=_time_text, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Run:
        """Return the run that `to_json` wrote.

        Raises:
            BadInputError: The text is no run description of this format.
        """
        try:
            data = json.loads(text)
            if data.pop("format") not in READ:
                raise BadInputError("the run description has another format", f"Need {FORMAT}")
            tasks = [_task(task) for task in data.pop("tasks")]
            parameters = [Parameter(**parameter) for parameter in data.pop("parameters")]
            return cls(**_timed(data), parameters=parameters, tasks=tasks)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadInputError(f"this is no run description: {error!r}") from error

    def save(self, folder: Path) -> Path:
        """Write the description into the run's folder and return the file."""
        path = folder / FILE
        path.write_text(self.to_json(), encoding="utf-8")
        return path


def task_of(row: str) -> str:
    """Return the task that a row is of: `for-loop-1/train` of `for-loop-1[0]/train`."""
    return ROUND.sub("", row)


def folder_of(row: str) -> Path:
    """Return a row's folder in the pipeline root: `for-loop-1[0]/work` is `for-loop-1/0/work`."""
    return Path(ROUND.sub(r"/\1", row))


def sum_up(task: Task, *, over: bool = True) -> None:
    """Give a task the state and the times that its rounds make together.

    Args:
        task: The task; nothing is done where it has no rounds.
        over: Whether all its rounds are known.
    """
    if not task.rounds:
        return
    states = {row.state for row in task.rounds}
    task.state = next(state for state in _WORST if state in states)
    begun = task.state is State.PENDING and len(states) > 1
    if begun or (not over and task.state not in _WORST[:4]):
        task.state = State.RUNNING
    ran = [row for row in task.rounds if row.started]
    task.cached = task.state is State.SUCCEEDED and all(row.cached for row in ran)
    task.started = min((row.started for row in ran if row.started), default=None)
    ends = [row.finished for row in ran if row.finished]
    ended = task.state not in (State.RUNNING, State.PENDING) and len(ends) == len(ran)
    task.finished = max(ends, default=None) if ended else None


def _canonical(value: Any) -> str:
    # Not ==, for which True is 1; and as protobuf's JSON, which has each number as a float.
    same = json.loads(json.dumps(value), parse_int=float)
    return json.dumps(same, sort_keys=True)


def _seconds(started: datetime | None, finished: datetime | None) -> float | None:
    return (finished - started).total_seconds() if started and finished else None


def _task(data: dict[str, Any]) -> Task:
    return Task(
        **{
            **_timed(data),
            "artifacts": [Artifact(**artifact) for artifact in data["artifacts"]],
            "rounds": [_task(one) for one in data["rounds"]],
            "spans": [tuple(span) for span in data.get("spans", [])],
        }
    )


def _finite(value: Any) -> Any:
    """Return a value with the numbers that JSON lacks as `NaN`, `Infinity` and `-Infinity`."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return as_number_text(value) or value
    return value


def _time_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a run description")


def _timed(data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with the state and the times read back."""
    times = {
        name: datetime.fromisoformat(data[name])
        for name in ("created", "started", "finished")
        if data.get(name)
    }
    return {**data, **times, "state": State(data["state"])}
