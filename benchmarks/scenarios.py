"""What is measured: the scenarios of `make bench`, and one run of them."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import obstore

from benchmarks import footprint, phases
from benchmarks.pipelines import PIPELINES
from benchmarks.watching import Watch, require_whole, watching
from kfpkit.core import console
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import api, pipelines, reach
from kfpkit.kfp.states import FINAL
from kfpkit.kube import forward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.phases import Piece, Seen
    from benchmarks.sides import Side

#: Experiment that all runs are made in, and that is emptied at the end.
EXPERIMENT = "bench"

#: Seconds that the runs of a scenario may take.
PATIENCE = 3 * 3600.0

#: Seconds that the API may lag behind a Workflow's end: the persistence agent's longest pause.
LAG = 400.0

#: Pods of one run that the page shows one by one.
SHOWN = 45


@dataclass(frozen=True)
class Scenario:
    """Runs of a pipeline that are measured together.

    Attributes:
        name: As SCENARIOS has it.
        title: For a person.
        pipeline: Of `PIPELINES`, or `penguins`.
        runs: How many at once.
        quick: Whether the quick form has it.
        goal: Most that ours may take, as a part of what upstream's settings take.
        cached: Whether the run before, of another scenario, fills the cache for it.
        leaves: Whether its artifacts are too large to stay.
        sampled: Whether memory and processor of the parts are looked at meanwhile.
    """

    name: str
    title: str
    pipeline: str
    runs: int = 1
    quick: bool = False
    goal: float | None = None
    cached: bool = False
    leaves: bool = False
    sampled: bool = False


#: In the order in which they are measured: the quick form may have no time for its last ones.
SCENARIOS = (
    Scenario("sample", "the sample, 5 tasks", "penguins", quick=True, goal=0.30),
    Scenario(
        "sample-cached", "the sample, all cached", "penguins", quick=True, goal=0.05, cached=True
    ),
    Scenario("side-20", "20 tasks side by side", "side-20", quick=True, sampled=True),
    Scenario("row-1", "1 task", "row-1"),
    Scenario("row-4", "4 tasks in a row", "row-4", quick=True),
    Scenario("row-20", "20 tasks in a row", "row-20", goal=0.30),
    Scenario("side-100", "100 tasks side by side", "side-100", goal=0.5, sampled=True),
    Scenario("condition", "a condition, 2 of 3 tasks", "condition"),
    Scenario("loop-50", "a loop of 50 rounds", "loop-50"),
    Scenario("artifact", "an artifact of 1 GiB, 2 tasks", "artifact", leaves=True),
    Scenario("runs-10", "10 runs at once, 1 task each", "row-1", runs=10),
    Scenario("runs-50", "50 runs at once, 1 task each", "row-1", runs=50),
)


@dataclass
class Measured:
    """One turn of one side at a scenario.

    Attributes:
        side: `ours` or `upstream`.
        round: From 1; those of one round are a pair.
        seconds: From the first Workflow's creation to the last one's end; 0 where a run failed.
        submit: Seconds from the call of the API to the Workflow's creation, the mean.
        reported: Seconds from the Workflow's end until the API says so, the longest.
        pods: How many pods there were.
        processor: Seconds that the machine's processors were busy, all programs on it together.
        load: Its load in the minute before.
        took: Seconds of all of it, with the waiting for what is left to be gone.
        use: The most that the side's parts took meanwhile, in cores and in bytes, where the
            scenario asks for it.
        failed: Runs that did not end well.
        first: Seconds from the Workflow's creation to its first pod's or driver's, the mean.
        phases: Mean seconds of each phase of a pod, by role.
        pieces: Pods and drivers of the first run, each with `task`, `role`, `pod` and its moments
            in seconds since the Workflow's creation.
    """

    side: str
    round: int
    seconds: float = 0.0
    submit: float = 0.0
    reported: float = 0.0
    pods: int = 0
    processor: float = 0.0
    load: float = 0.0
    took: float = 0.0
    use: dict[str, float] = field(default_factory=dict)
    failed: int = 0
    first: float = 0.0
    phases: dict[str, dict[str, float]] = field(default_factory=dict)
    pieces: list[dict[str, Any]] = field(default_factory=list)


class Runner:
    """Runs scenarios on one side; the ports are open as long as the block of `opened`."""

    def __init__(self, side: Side, client: api.Client, folder: Path) -> None:
        self.side = side
        self._client = client
        self._folder = folder
        self._experiment = client.create_experiment(EXPERIMENT).experiment_id
        self._made: list[str] = []
        #: Those whose artifacts are not kept.
        self._leaving: list[str] = []
        #: Of the last run of the sample, which a cached one repeats.
        self._seed: int | None = None

    def measure(self, scenario: Scenario, number: int) -> Measured:
        """Run a scenario once, and wait until nothing of it is left on the cluster.

        Args:
            scenario: Which.
            number: Of the round.
        """
        start = time.monotonic()
        file, params = self._file(scenario.pipeline), self._params(scenario)
        found = Measured(self.side.name, number, load=os.getloadavg()[0])
        sampling = footprint.sampling(self.side.target) if scenario.sampled else nullcontext()
        with watching(self.side.target) as watch, sampling as use:
            busy, asked = busy_seconds(), {}
            for each in range(scenario.runs):
                began = time.monotonic()
                run = self._client.run_pipeline(
                    self._experiment,
                    f"{scenario.name} {number}.{each + 1}",
                    params=params if scenario.runs == 1 else {**params, "salt": uuid4().hex},
                    pipeline_package_path=str(file),
                ).run_id
                asked[run] = began
                self._made.append(run)
                if scenario.leaves:
                    self._leaving.append(run)
            title = f"{scenario.title}, {self.side.title}, round {number}"
            wait_for(title, lambda: _waits(watch, asked), timeout=PATIENCE, interval=0.2)
            found.processor = busy_seconds() - busy
            found.reported = self._reported(watch, asked)
        _sum_up(found, [watch.runs[run] for run in asked], list(asked.values()))
        self._clear(watch, asked)
        self._forget()
        if use:
            cores, memory = use.most(set(footprint.requests(self.side.target)))
            found.use = {"cores": float(cores), "bytes": float(memory)}
        found.took = time.monotonic() - start
        return found

    def end(self) -> None:
        """End and delete all runs that were made; what is left of them is what is not KFP's API."""
        while self._made:
            run = self._made.pop()
            try:
                if self._client.run_state(run) not in FINAL:
                    self._client.terminate_run(run)
                self._client.delete_run(run)
            except api.RefusedError as error:
                console.warn(error.what)
        self._forget()

    def _file(self, name: str) -> Path:
        file = self._folder / f"{name}.yaml"
        if not file.exists():
            pipeline = (
                pipelines.find(name)
                if name not in PIPELINES
                else pipelines.Pipeline(name, PIPELINES[name]())
            )
            pipelines.compile_to(pipeline, file)
        return file

    def _params(self, scenario: Scenario) -> dict[str, Any]:
        """Return parameters that find nothing in the cache, or, for what is cached, all."""
        if scenario.pipeline != "penguins":
            return {"salt": uuid4().hex}
        if not scenario.cached or self._seed is None:
            self._seed = uuid4().int % 2**31
        return {"seed": self._seed, "min_accuracy": 0.0}

    def _reported(self, watch: Watch, asked: dict[str, float]) -> float:
        """Wait until the API says that each run is over; return by how much the last one lags."""

        def probe() -> str | None:
            states = {self._client.run_state(run) for run in asked}
            return None if states <= set(FINAL) else ", ".join(sorted(states))

        wait_for("the API to say so", probe, timeout=LAG, interval=0.5)
        return time.monotonic() - max(watch.runs[run].ended or 0 for run in asked)

    def _clear(self, watch: Watch, asked: dict[str, float]) -> None:
        """Delete the Workflows with their pods: dead containers make a kubelet slow.

        Their rows stay, so that what they put into the cache does.
        """
        target, names = self.side.target, [watch.runs[run].name for run in asked]
        target.query("delete", "workflows.argoproj.io", "--wait=false", *names)
        label = f"--selector={phases.WORKFLOW} in ({','.join(names)})"

        def probe() -> str | None:
            left = target.query("get", "pods", label, "--output=name").stdout.split()
            return f"{len(left)} left" if left else None

        wait_for("the pods to be gone", probe, timeout=600)

    def _forget(self) -> None:
        """Delete the artifacts of runs whose are not kept."""
        if not self._leaving:
            return
        with reach.store(self.side.target) as store:
            keys = [
                str(one["path"])
                for batch in obstore.list(store, prefix="v2/artifacts")
                for one in batch
                if any(run in one["path"] for run in self._leaving)
            ]
            obstore.delete(store, keys)
        self._leaving.clear()


@contextmanager
def opened(*sides: Side) -> Iterator[dict[str, Runner]]:
    """Open each side's API for the length of a `with` block; runs made in it are deleted then."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        runners = {}
        for side in sides:
            address = stack.enter_context(forward.opened(side.target, forward.API))
            runners[side.name] = Runner(side, api.connect(f"http://{address}"), folder)
            stack.callback(runners[side.name].end)
        yield runners


def _waits(watch: Watch, asked: dict[str, float]) -> str | None:
    """Return how far runs are; None once all have ended."""
    require_whole(watch)
    with watch.lock:
        there = [watch.runs[run] for run in asked if run in watch.runs]
        ended = sum(seen.ended is not None for seen in there)
        pods = sum(len(seen.pods) for seen in there)
    if ended == len(asked):
        return None
    return f"{ended} of {len(asked)} ended, {pods} pods so far"


def _sum_up(found: Measured, runs: list[Seen], asked: list[float]) -> None:
    """Fill in what was seen of some runs, each asked for at a moment."""
    found.failed = sum(not phases.succeeded(seen) for seen in runs)
    each = [phases.pieces(seen) for seen in runs]
    everything = [piece for found in each for piece in found]
    began = min(seen.created for seen in runs)
    if not found.failed:
        found.seconds = max(seen.ended or began for seen in runs) - began
    found.submit = fmean(seen.created - when for seen, when in zip(runs, asked, strict=True))
    found.pods = sum(piece.has_pod for piece in everything)
    firsts = [
        max(some[0].moments["created"] - seen.created, 0.0)
        for some, seen in zip(each, runs, strict=True)
        if some
    ]
    found.first = fmean(firsts) if firsts else 0.0
    roles = ("driver", "executor")
    found.phases = {
        role: phases.means(piece for piece in everything if piece.role == role) for role in roles
    }
    found.pieces = [_row(piece, runs[0].created) for piece in each[0][:SHOWN]]


def _row(piece: Piece, began: float) -> dict[str, Any]:
    moments = {name: round(when - began, 3) for name, when in piece.moments.items()}
    return {
        "task": piece.task,
        "role": piece.role,
        "pod": piece.name if piece.has_pod else "",
        "moments": moments,
    }


def busy_seconds(stat: Path = Path("/proc/stat")) -> float:
    """Return for how long this machine's processors have been busy since its start, added up."""
    words = stat.read_text(encoding="ascii").splitlines()[0].split()[1:9]
    user, nice, system, _, _, irq, softirq, steal = map(int, words)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
