"""A night of work in an hour: runs of several kinds, a new one every few seconds, while parts of
the installation are killed at random.
"""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import requests

from kfpkit.core.waiting import wait_for
from kfpkit.kfp.database import PIPELINES, Database
from kfpkit.kube import forward
from kfpkit.kube.health import PART
from kfpkit.kube.render import workloads
from kfpkit.runs import lookup
from tests.support import evidence
from tests.support.runs import FINAL, RUN, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.long, pytest.mark.timeout(3 * 3600)]

#: So many runs are started in so many seconds; after each so many seconds something is killed.
RUNS, SECONDS, KILL_EVERY = 300, 3600.0, 75.0

#: Seconds after the last start in which all runs have ended.
ENDING = 1800.0

#: Of eight runs, how many are of a kind: a module and function of tests/support/pipelines.
KINDS = {
    ("hello", "hello"): 3,
    ("two_steps", "once"): 1,
    ("two_steps", "retried"): 1,
    ("many", "many"): 1,
    ("flow", "flow"): 1,
    ("stumble", "pipeline"): 1,
}

#: What fails in the end whatever happens.
FAILS = "stumble"


def arguments(kind: str, token: str) -> Mapping[str, Any]:
    """Return parameters of a run that no other run has, so that nothing comes from the cache."""
    of_kind: dict[str, dict[str, Any]] = {
        "hello": {"name": token},
        "once": {"token": token, "seconds": 10},
        "retried": {"token": token, "seconds": 10},
        "many": {"text": token, "items": ["take", token]},
        "flow": {"numbers": [2, 3]},
        "pipeline": {"reason": token},
    }
    return of_kind[kind]


@dataclass
class Night:
    """What was done to an installation: runs by name, and how often each part was killed."""

    runs: dict[str, tuple[str, Run]] = field(default_factory=dict)
    killed: Counter[str] = field(default_factory=Counter)


class Starter:
    """Starts runs of every kind in turn, each once, whatever the API does meanwhile."""

    def __init__(self, target: Target, client: Any, host: str, folder: Path) -> None:
        from importlib import import_module

        from kfp.compiler import Compiler

        self._target, self._client, self._host = target, client, host
        self._files = {}
        for module, name in KINDS:
            file = folder / f"{module}-{name}.yaml"
            pipeline = getattr(import_module(f"tests.support.pipelines.{module}"), name)
            Compiler().compile(pipeline, str(file))
            self._files[module, name] = file
        self._kinds = [kind for kind, times in KINDS.items() for _ in range(times)]

    def __call__(self, number: int) -> tuple[str, str, Run]:
        """Start a run; return its name, its kind's module, and itself."""
        module, kind = self._kinds[number % len(self._kinds)]
        name = f"{module} {number} {uuid.uuid4().hex}"
        made: list[str] = []

        def start() -> str | None:
            """Start it, unless an earlier request of which the answer was lost has."""
            try:
                made[:] = self._named(name) or [self._create(module, kind, name)]
            except requests.RequestException as error:
                return f"{type(error).__name__}"
            except Exception as error:  # the SDK's client raises what its transport does
                return " ".join(str(error).split())[:120]
            return None

        wait_for(f"a start of {name}", start, timeout=300, interval=1)
        return name, module, Run(self._client, self._target, self._host, made[0])

    def _named(self, name: str) -> list[str]:
        sql = f"SELECT JSON_ARRAY(UUID) FROM {PIPELINES}.run_details WHERE DisplayName = '{name}';"  # noqa: S608 - a name of this test
        return [str(row[0]) for row in Database(self._target).rows(sql)]

    def _create(self, module: str, kind: str, name: str) -> str:
        made = self._client.create_run_from_pipeline_package(
            str(self._files[module, kind]),
            arguments=dict(arguments(kind, name)),
            run_name=name,
            experiment_name="a night",
        )
        return str(made.run_id)


@pytest.fixture(scope="module")
def night(
    harmed: Target, client: Any, host: str, tmp_path_factory: pytest.TempPathFactory
) -> Night:
    """All runs, over."""
    start = Starter(harmed, client, host, tmp_path_factory.mktemp("compiled"))
    parts = sorted(workload["metadata"]["name"] for workload in workloads(harmed.documents))
    chance = random.Random(RUNS)  # noqa: S311 - the same every night
    done = Night()
    began = time.monotonic()
    kill_at = began + KILL_EVERY
    for number in range(RUNS):
        due = began + number * SECONDS / RUNS
        wait_for("the next start", partial(evidence.before, due), timeout=SECONDS, interval=0.5)
        name, module, run = start(number)
        done.runs[name] = module, run
        if time.monotonic() >= kill_at:
            part = chance.choice(parts)
            pods = f"--selector={PART}={part}"
            harmed.run("delete", "pod", pods, "--force", "--grace-period=0", check=False)
            done.killed[part] += 1
            kill_at = time.monotonic() + KILL_EVERY * chance.uniform(0.5, 1.5)
    evidence.recovery(harmed, time.monotonic())

    def going() -> str | None:
        sql = f"SELECT JSON_ARRAY(State, COUNT(*)) FROM {PIPELINES}.run_details GROUP BY State;"  # noqa: S608 - a constant
        states = {str(state): int(count) for state, count in Database(harmed).rows(sql)}
        return None if set(states) <= {*FINAL} else str(states)

    wait_for("the end of all runs", going, timeout=ENDING, interval=5)
    return done


def test_no_run_is_lost_and_none_is_doubled(harmed: Target, night: Night) -> None:
    sql = f"SELECT JSON_ARRAY(UUID, DisplayName) FROM {PIPELINES}.run_details;"  # noqa: S608 - a constant
    rows = Counter((str(run), str(name)) for run, name in Database(harmed).rows(sql))
    assert rows == Counter((run.id, name) for name, (_, run) in night.runs.items())
    labels = [w["metadata"]["labels"][RUN] for w in harmed.items(["workflows.argoproj.io"])]
    assert Counter(labels) == Counter(run.id for _, run in night.runs.values())


def test_every_run_has_a_true_end(harmed: Target, night: Night, note: Callable[..., None]) -> None:
    phases = {
        w["metadata"]["labels"][RUN]: w["status"]["phase"]
        for w in harmed.items(["workflows.argoproj.io"])
    }
    ends: Counter[str] = Counter()
    wrong = []
    for name, (module, run) in night.runs.items():
        state, phase = run.state, phases[run.id]
        if state == "SUCCEEDED":
            ends["Succeeded"] += 1
            if phase != "Succeeded" or module == FAILS:
                wrong.append(f"{name}: {state}, its Workflow {phase}")
            continue
        told = lookup.look(harmed, run.id)
        ends[evidence.told(told)] += 1
        own = module == FAILS and told.reason == "step"
        if phase not in ("Failed", "Error") or not (
            own or told.reason in evidence.OUTSIDE - {"step"}
        ):
            wrong.append(f"{name}: {state}, its Workflow {phase}: {told.sentence}")
    kills = ", ".join(f"{part} {times}" for part, times in sorted(night.killed.items()))
    note(
        f"{len(night.runs)} runs in {SECONDS / 60:.0f} minutes, killed meanwhile: {kills}",
        "", "", "", "", ", ".join(f"{count} {end}" for end, count in ends.most_common()),
    )  # fmt: skip
    assert not wrong, "\n".join(wrong)


def test_no_driver_ran_twice(harmed: Target, night: Night) -> None:
    """Each driver makes an execution in the metadata."""
    with forward.opened(harmed, forward.METADATA) as address:
        doubled = {
            name: found
            for name, (_, run) in night.runs.items()
            if (found := evidence.doubled(address, run.id))
        }
    assert not doubled
