# ruff: noqa: S608 - SQL made of constants and ids
"""What a fault did: how long until all worked again, and whether each run's end is a true one."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core.errors import CommandError
from kfpkit.core.findings import Verdict
from kfpkit.core.waiting import wait_for
from kfpkit.doctor import checks
from kfpkit.doctor.check import examine
from kfpkit.kfp import metadata, reach
from kfpkit.kfp.database import METADATA, Database
from kfpkit.kube import health
from kfpkit.operations import installation as lifecycle
from kfpkit.runs import explain
from kfpkit.runs import lookup as runs
from tests.support.runs import FINAL, RUN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obstore.store import S3Store

    from kfpkit.kfp.target import Target
    from tests.support.runs import Run

#: Seconds from a fault's end until every part is ready and every store and API answers.
RECOVERY = 60.0

#: Seconds that are waited for it, so that a failure says how long it really took.
PATIENCE = 300.0

#: Seconds for a step to be at work, and for a run to end.
STARTING, ENDING = 300.0, 600.0

STEPS = ("work", "check")

#: State of an execution of the metadata.
COMPLETE = 3

#: Where a pod stands in its Workflow.
PLACE = "workflows.argoproj.io/node-name"

#: What must work again.
CHECKS = [c for c in checks.CHECKS if c.name in ("database", "object-store", "metadata", "api")]

#: Reasons of `make explain` that a fault outside of a step may be told by.
OUTSIDE = {"unreachable", "pod-deleted", "killed", "driver", "launcher", "out-of-memory", "step"}


def before(moment: float) -> str | None:
    """Return how long it is until a moment of the monotonic clock; None from then on."""
    rest = moment - time.monotonic()
    return f"{rest:.0f} s to go" if rest > 0 else None


def recovery(target: Target, since: float, gone: Iterable[str] = ()) -> float:
    """Wait until all parts are ready and all that they serve works.

    Args:
        target: The installation.
        since: When the fault ended, as `time.monotonic()` says it.
        gone: UIDs of pods that were killed.

    Returns:
        Seconds from then.
    """

    def probe() -> str | None:
        try:
            parts = lifecycle.components(target)
            pods = target.items(["pods"], "--selector", health.OWNED)
        except CommandError as error:
            return error.stderr.strip().splitlines()[-1] if error.stderr.strip() else "no answer"
        if lacking := [f"{part.name}: {part.state}" for part in parts if not part.done]:
            return "; ".join(lacking)
        if killed & {pod["metadata"]["uid"] for pod in pods}:
            return "the killed pod is still there"
        for report in examine(target, CHECKS):
            if report.verdict not in (Verdict.OK, Verdict.WARNING):
                return f"{report.name}: {report.findings[-1].evidence}"
        return None

    killed = set(gone)
    wait_for("the installation's recovery", probe, timeout=PATIENCE, interval=0.5)
    return time.monotonic() - since


def pod(run: Run, place: str) -> dict[str, Any] | None:
    """Return the newest pod at a place of a run's graph, as `root.work.executor`."""
    found = [
        item
        for item in run.target.items(["pods"], f"--selector={RUN}={run.id}")
        if re.sub(r"\(\d+\)", "", item["metadata"]["annotations"][PLACE].partition(".")[2]) == place
    ]
    return max(found, key=lambda item: str(item["metadata"]["creationTimestamp"]), default=None)


def at_work(run: Run) -> str:
    """Wait until the first step's own program runs, and Argo knows; return the name of its pod."""
    names: list[str] = []

    def probe() -> str | None:
        there = pod(run, "root.work.executor")
        if there is None:
            return "no pod yet"
        name = there["metadata"]["name"]
        said = run.target.query("logs", name, "--container=main", check=False).stdout
        names[:] = [name]
        if "at work" not in said:
            return f"{name}: {there['status']['phase']}"
        phases = [node["phase"] for node in run.pods("work")]
        return None if phases[-1:] == ["Running"] else f"{name}: {phases} for Argo"

    wait_for(f"the first step of run {run.id}", probe, timeout=STARTING, interval=0.5)
    return names[0]


def told(end: explain.Explanation) -> str:
    """Return a run's end in a word or two."""
    return end.state if not end.reason else f"{end.state}: {end.reason}"


def wait_for_ends(started: Iterable[Run]) -> None:
    """Wait until every run has ended, in whatever state."""
    each = list(started)

    def probe() -> str | None:
        going = [run.id for run in each if run.state not in FINAL]
        return f"{len(going)} go on, {going[0]} among them" if going else None

    wait_for(f"the end of {len(each)} runs", probe, timeout=ENDING, interval=3)


def judge(started: Iterable[Run]) -> dict[str, explain.Explanation]:
    """Wait for the end of runs and fail unless each has a true one.

    One that succeeded did each step's work once, and its artifact is there; one that failed says in
    which step and why.

    Returns:
        What `make explain` says, by the ID of the run.
    """
    each = list(started)
    wait_for_ends(each)
    found: dict[str, explain.Explanation] = {}
    if not each:
        return found
    with reach.store(each[0].target) as store:
        for run in each:
            found[run.id] = end = runs.look(run.target, run.id)
            if run.state == "SUCCEEDED":
                assert end.state == "Succeeded", end
                require_whole(run, store)
            else:
                assert run.state == "FAILED", run.evidence()
                assert end.state in ("Failed", "Error"), run.evidence()
                assert end.reason in OUTSIDE, f"{end}\n{run.evidence()}"
                assert "the run itself" in end.sentence or any(s in end.sentence for s in STEPS)
    return found


def require_whole(run: Run, store: S3Store) -> None:
    """Fail unless a run that is said to have succeeded did all of it, and nothing twice."""
    for step in STEPS:
        phases = Counter(node["phase"] for node in run.pods(step))
        assert phases["Succeeded"] == 1, f"{step}: {phases}\n{run.evidence()}"
    spec = run.client.get_run(run.id).runtime_config.parameters
    written = [
        item["path"]
        for page in store.list("v2/artifacts/")
        for item in page
        if f"/{run.id}/" in item["path"] and item["path"].endswith("/done")
    ]
    assert len(written) == 1, written
    assert bytes(store.get(written[0]).bytes()).decode() == spec["token"]
    rows = Database(run.target).rows(
        f"SELECT JSON_ARRAY(t.name, e.last_known_state) FROM {METADATA}.Execution e "
        f"JOIN {METADATA}.Type t ON t.id = e.type_id "
        f"JOIN {METADATA}.Association a ON a.execution_id = e.id "
        f"JOIN {METADATA}.Context c ON c.id = a.context_id AND c.name = '{run.id}' "
        "ORDER BY t.name;"
    )
    steps = [["system.ContainerExecution", COMPLETE]] * len(STEPS)
    # After a launcher was killed, 2.14.3 leaves the state of the run's own execution at "running".
    assert rows[:-1] == steps, rows
    assert rows[-1][0] == "system.DAGExecution", rows


def doubled(address: str, run_id: str) -> list[tuple[object, ...]]:
    """Return the tasks of a run that have more than one execution in the metadata.

    Args:
        address: Host and port of the metadata server's bridge.
        run_id: The run's ID.
    """
    found = metadata.executions(address, run_id)
    assert found, run_id
    times = Counter((one.graph, one.task, one.round) for one in found)
    return [task for task, count in times.items() if count > 1]


def require_recovered(seconds: float) -> None:
    """Fail where a recovery took longer than it may."""
    if seconds > RECOVERY:
        pytest.fail(f"all worked again {seconds:.0f} s after the fault, not {RECOVERY:.0f} s")
