"""Components of an installation held for a while: stopped, and started again whatever happened."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import join_names
from kfpkit.core.waiting import wait_for
from kfpkit.kube.health import PART
from kfpkit.operations.lock import HELD, PRUNING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kfpkit.kfp.target import Target
    from kfpkit.operations.lock import Lock

#: Starts the recurring runs.
SCHEDULER = ("scheduled-workflow",)

#: All that write to the databases, in the order in which they are stopped; not every overlay has
#: each.
WRITERS = (
    "ml-pipeline",
    *SCHEDULER,
    "workflow-controller",
    "warm-driver",
    "persistence-agent",
    "metadata-grpc",
)

#: Seconds until the pods of a stopped component are gone.
STOPPING = 180.0

#: The pods of the option prune.
PRUNE = f"{PART}=prune"


@contextlib.contextmanager
def stopped(target: Target, names: Sequence[str], lock: Lock) -> Iterator[None]:
    """Hold Deployments for the length of a `with` block."""
    what = join_names(names)
    lock.note(f"{what} stopped", again="make backup-resume")
    try:
        stop(target, names)
        yield
    finally:
        # First the note, which fails where another command has taken over: they are that one's.
        lock.note(f"starts {what} again")
        start(target, names)
        lock.note(f"{what} started again", again="")


def stop(target: Target, names: Sequence[str]) -> None:
    """Stop Deployments and wait until their pods are gone; how many they had is noted on them."""
    there = {item["metadata"]["name"]: item for item in target.items(["deployments"])}
    names = [name for name in names if name in there]
    for name in names:
        item = there[name]
        if HELD in item["metadata"].get("annotations", {}):
            continue  # Held already: by a command that was killed, and which noted the number.
        pods = item["spec"].get("replicas", 1)
        target.run("annotate", f"deployment/{name}", f"{HELD}={pods}")
    for name in names:
        target.run("scale", f"deployment/{name}", "--replicas=0")
    if not process.dry_run():
        what, selector = f"the end of {join_names(names)}", f"{PART} in ({','.join(names)})"
        _wait_until_gone(target, what, STOPPING, "--selector", selector)


def held(target: Target) -> dict[str, str]:
    """Return how many pods each Deployment that is held had, by its name."""
    return {
        item["metadata"]["name"]: item["metadata"]["annotations"][HELD]
        for item in target.items(["deployments"])
        if HELD in item["metadata"].get("annotations", {})
    }


def wait_for_prune(target: Target) -> None:
    """Wait for a job of the option prune that is at work, of a kit that takes no lock.

    Raises:
        WaitTimeoutError: It does not end.
    """
    running = ("--selector", PRUNE, "--field-selector=status.phase=Running")
    _wait_until_gone(target, "the job that removes old runs", PRUNING, *running)


def start(target: Target, names: Sequence[str] = WRITERS) -> list[str]:
    """Start Deployments, those of them that are held, and return their names."""
    pods = {name: count for name, count in held(target).items() if name in names}
    for name, count in pods.items():
        target.run("scale", f"deployment/{name}", f"--replicas={count}")
        target.run("annotate", f"deployment/{name}", f"{HELD}-")
    if pods:
        console.say(f"started again: {join_names(pods)}")
    return list(pods)


def _wait_until_gone(target: Target, what: str, timeout: float, *selector: str) -> None:
    def going() -> str | None:
        pods = target.items(["pods"], *selector)
        return join_names([p["metadata"]["name"] for p in pods]) if pods else None

    wait_for(what, going, timeout=timeout)
