# ruff: noqa: S608 - SQL made of constants
"""Faults while runs are in flight: parts and pods that are killed, stores that are away or full.

What is said of runs is so for release 2.14.3; docs/operate/faults.md has it in words.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import requests

from kfpkit.core.findings import Verdict
from kfpkit.core.waiting import wait_for
from kfpkit.doctor.check import Check, examine
from kfpkit.kfp.database import PIPELINES, Database
from kfpkit.kube.health import PART
from kfpkit.kube.render import MANIFESTS, workloads
from tests.support import evidence
from tests.support.faults import FOLDER
from tests.support.runs import FINAL, Run
from tests.support.skips import NO_UI

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kfpkit.kfp.target import Target
    from kfpkit.runs.explain import Explanation
    from tests.support.faults import Volume

pytestmark = [pytest.mark.kfp, pytest.mark.long, pytest.mark.timeout(2400)]

PARTS = sorted(
    file.parent.name
    for file in (*MANIFESTS.glob("base/*/*.yaml"), *MANIFESTS.glob("options/warm-driver/*.yaml"))
    if file.stem in ("deployment", "statefulset")
)

#: Without one of these no driver goes on: it waits. A step's launcher does not, and fails.
DRIVERS_NEED = {"database", "metadata-grpc", "ml-pipeline", "warm-driver"}

AT_ONCE = ("--force", "--grace-period=0")

#: Seconds of a first step: longer than a recovery, so that the second begins after it.
LONG = 45

#: Seconds between two runs of the recurring one, and that a store is away.
EVERY, MINUTE = 60, 60.0


@dataclass(frozen=True)
class Killed:
    """A part that was killed."""

    recovery: float
    #: Its first step was at work.
    working: Run
    #: It had just been started.
    beginning: Run
    #: It was started when all worked again.
    after: Run


@pytest.fixture(scope="module")
def recurring(harmed: Target, client: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A recurring run that goes on through all of it."""
    from kfp.compiler import Compiler

    from tests.support.pipelines import hello

    assert harmed
    file = tmp_path_factory.mktemp("compiled") / "hello.yaml"
    Compiler().compile(hello.hello, str(file))
    return client.create_recurring_run(
        client.create_experiment("recurring").experiment_id,
        "each minute",
        interval_second=EVERY,
        max_concurrency=10,
        no_catchup=False,
        pipeline_package_path=str(file),
    )


@pytest.fixture(scope="module")
def killed(
    harmed: Target, client: Any, begin: Callable[..., Run], recurring: Any
) -> dict[str, Killed]:
    """Every part, killed one after the other; what drivers do not need, with the same runs."""
    there = {workload["metadata"]["name"] for workload in workloads(harmed.documents)}
    assert there <= set(PARTS)
    # The store first, while the step that will need it at its end has only begun.
    others = sorted(there - DRIVERS_NEED, key=lambda part: (part != "object-store", part))
    found = {}
    for group in (*([part] for part in sorted(there & DRIVERS_NEED)), others):
        working = begin(LONG)
        evidence.at_work(working)
        beginning = begin(1)
        recoveries = {part: kill(harmed, part) for part in group}
        after = begin(1)
        for part, recovery in recoveries.items():
            found[part] = Killed(recovery, working, beginning, after)
        # A step that ends while the next part is away would tell of that one.
        evidence.wait_for_ends([working, beginning, after])
    client.disable_recurring_run(recurring.recurring_run_id)
    return found


def kill(target: Target, part: str) -> float:
    """Kill a part's pods, and return the seconds until all worked again."""
    pods = target.items(["pods"], f"--selector={PART}={part}")
    names = [pod["metadata"]["name"] for pod in pods]
    began = time.monotonic()
    target.run("delete", "pod", *names, *AT_ONCE)
    return evidence.recovery(target, began, {pod["metadata"]["uid"] for pod in pods})


@pytest.fixture(scope="module")
def ends(killed: dict[str, Killed]) -> dict[str, Explanation]:
    """What became of every run."""
    runs = {run.id: run for k in killed.values() for run in (k.working, k.beginning, k.after)}
    return evidence.judge(runs.values())


@pytest.mark.parametrize("part", PARTS)
def test_runs_survive_a_killed_part_or_say_what_they_lacked(
    part: str,
    killed: dict[str, Killed],
    ends: dict[str, Explanation],
    note: Callable[..., None],
) -> None:
    if part not in killed:
        pytest.skip(NO_UI if part == "ml-pipeline-ui" else f"no {part} in this overlay")
    found = killed[part]
    working, beginning, after = (
        ends[run.id] for run in (found.working, found.beginning, found.after)
    )
    note(
        f"`{part}` killed",
        f"{found.recovery:.0f} s",
        evidence.told(working),
        "",
        evidence.told(beginning),
        evidence.told(after),
    )
    assert working.state == "Succeeded", working
    assert beginning.state == "Succeeded" or (
        part in DRIVERS_NEED and beginning.reason == "launcher"
    ), beginning
    assert after.state == "Succeeded", after
    evidence.require_recovered(found.recovery)


def test_no_run_is_lost_and_none_is_doubled(
    harmed: Target, killed: dict[str, Killed], ends: dict[str, Explanation], recurring: Any
) -> None:
    """Runs that were started, and those that were due meanwhile."""
    assert killed
    sql = (
        "SELECT JSON_ARRAY(UUID, COALESCE(JobUUID, ''), ScheduledAtInSec, State) "
        f"FROM {PIPELINES}.run_details ORDER BY ScheduledAtInSec;"
    )
    rows: list[Any] = []

    def probe() -> str | None:
        rows[:] = Database(harmed).rows(sql)
        going = [state for *_, state in rows if state not in FINAL]
        return f"{len(going)} runs go on" if going else None

    wait_for("the end of all runs", probe, timeout=evidence.ENDING, interval=3)
    assert Counter(ends.keys()) == Counter(run for run, job, *_ in rows if not job)
    due = [at for _, job, at, _ in rows if job == recurring.recurring_run_id]
    assert due == list(range(due[0], due[-1] + 1, EVERY)), due
    workflows = harmed.items(["workflows.argoproj.io"])
    assert len(workflows) == len(rows)


#: What is killed of a first step: its pod, or the process with this name in its main container.
BY_FORCE = "pod"
STRUCK = {
    BY_FORCE: "",
    "pod, with notice": "",
    "launcher": "launch",
    "user's process": "python3?(\\.[0-9]+)?",
}


@dataclass(frozen=True)
class Hit:
    """A run whose first step was hit, and another with retries."""

    once: Run
    retried: Run


@pytest.fixture(scope="module")
def struck(harmed: Target, begin: Callable[..., Run]) -> dict[str, Hit]:
    """Runs whose first step was killed, each in another way."""
    found = {}
    for name, comm in STRUCK.items():
        found[name] = Hit(begin(LONG), begin(LONG, retries=True))
        for run in (found[name].once, found[name].retried):
            pod = evidence.at_work(run)
            if comm:
                kill = 'kill -9 $(grep -lxE "$0" /proc/[0-9]*/comm | cut -d/ -f3)'
                harmed.run("exec", pod, "--container=main", "--", "sh", "-c", kill, comm)
            else:
                how = AT_ONCE if name == BY_FORCE else ()
                harmed.run("delete", "pod", pod, "--wait=false", *how)
    return found


@pytest.fixture(scope="module")
def struck_ends(struck: dict[str, Hit]) -> dict[str, Explanation]:
    return evidence.judge(run for hit in struck.values() for run in (hit.once, hit.retried))


@pytest.mark.parametrize("what", STRUCK)
def test_a_killed_step_fails_its_run_unless_it_has_retries(
    what: str,
    struck: dict[str, Hit],
    struck_ends: dict[str, Explanation],
    note: Callable[..., None],
) -> None:
    once, retried = (struck_ends[run.id] for run in (struck[what].once, struck[what].retried))
    note(f"a step's {what} killed", "", evidence.told(once), evidence.told(retried), "", "")
    # A pod that is gone before Argo has seen it is made anew; one that is gone before Argo looks
    # again is an error, which is not retried.
    ways = (("Succeeded", ""), ("Error", "pod-deleted"))
    if what != BY_FORCE:
        assert once.state in ("Failed", "Error")
    else:
        assert (once.state, once.reason) in ways, once
    assert once.state == "Succeeded" or "work" in once.sentence
    if STRUCK[what]:
        assert retried.state == "Succeeded", retried
    else:
        assert (retried.state, retried.reason) in ways, retried


def test_a_run_whose_step_was_killed_can_be_retried(
    host: str, struck: dict[str, Hit], struck_ends: dict[str, Explanation]
) -> None:
    once = [hit.once for hit in struck.values()]
    failed = [run for run in once if struck_ends[run.id].state != "Succeeded"]
    assert len(failed) >= len(STRUCK) - 1
    for run in failed:
        requests.post(f"{host}/apis/v2beta1/runs/{run.id}:retry", timeout=30).raise_for_status()
    for run in failed:
        wait_for(
            f"run {run.id} to go on", partial(goes_on, run), timeout=evidence.STARTING, interval=2
        )
    ends = evidence.judge(failed)
    assert {told.state for told in ends.values()} == {"Succeeded"}, ends


def goes_on(run: Run) -> str | None:
    return None if run.state not in ("FAILED", "CANCELED") else run.state


@contextmanager
def cut_off(target: Target, volume: Volume, part: str) -> Iterator[None]:
    """Let nobody reach a part: neither over new connections nor over those that are open."""
    (policy,) = (
        d
        for d in target.documents
        if d["kind"] == "NetworkPolicy" and d["metadata"]["name"] == part
    )
    ingress = policy["spec"]["ingress"]
    (pod,) = target.items(["pods"], f"--selector={PART}={part}")

    def patch(*changes: dict[str, Any]) -> None:
        text = json.dumps(changes)
        target.run("patch", f"networkpolicy/{part}", "--type=json", f"--patch={text}")

    patch({"op": "remove", "path": "/spec/ingress"})
    try:
        # A policy is asked for new connections alone: let the kernel take open ones for such.
        volume.run(f"conntrack --delete --reply-src {pod['status']['podIP']} >/dev/null")
        yield
    finally:
        patch({"op": "add", "path": "/spec/ingress", "value": ingress})


@contextmanager
def filled(target: Target, volume: Volume, part: str) -> Iterator[None]:
    """Leave no room in the volume of the object store."""
    volume.run(f"dd if=/dev/zero of={FOLDER}/filler bs=64k 2>/dev/null || df {FOLDER}")
    try:
        (check,) = (check for check in evidence.CHECKS if check.name == part)
        (report,) = examine(target, [Check(check.name, check.title, check.ask)])
        assert report.verdict is Verdict.FAULT, report
        yield
    finally:
        volume.run(f"rm {FOLDER}/filler")


#: How a store is taken away, and which.
AWAY = {
    "database cut off": (cut_off, "database"),
    "object store cut off": (cut_off, "object-store"),
    "artifact volume full": (filled, "object-store"),
}


@pytest.mark.parametrize("what", AWAY)
def test_a_store_is_away_for_a_minute(
    what: str,
    harmed: Target,
    volume: Volume,
    begin: Callable[..., Run],
    note: Callable[..., None],
) -> None:
    take, part = AWAY[what]
    # Its first step goes on until after that; those of the other two end meanwhile.
    across, into = begin(150), Hit(begin(int(MINUTE)), begin(int(MINUTE), retries=True))
    for run in (across, into.once, into.retried):
        evidence.at_work(run)
    beginning = begin(1)
    with take(harmed, volume, part):
        end = time.monotonic() + MINUTE
        wait_for(f"a minute of: {what}", partial(evidence.before, end), timeout=2 * MINUTE)
    recovery = evidence.recovery(harmed, time.monotonic())
    after = begin(1)
    ends = evidence.judge([across, into.once, into.retried, beginning, after])
    note(
        f"{what} for a minute",
        f"{recovery:.0f} s",
        f"{evidence.told(ends[across.id])}; "
        f"where it ended meanwhile: {evidence.told(ends[into.once.id])}",
        *(evidence.told(ends[run.id]) for run in (into.retried, beginning, after)),
    )
    for run in (across, into.retried, after):
        assert ends[run.id].state == "Succeeded", ends[run.id]
    evidence.require_recovered(recovery)
