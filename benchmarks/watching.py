"""Watching the runs of a namespace, each event with the moment at which it came."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.phases import WORKFLOW, Seen
from kfpkit.core import process
from kfpkit.core.errors import KitError
from kfpkit.kube import health

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from kfpkit.kfp.target import Target

#: Seconds after which Kubernetes ends a watch.
LONGEST = 4 * 3600

#: Where the API server has a namespace's pods.
PODS = "/api/v1/namespaces/{}/pods"


class Watch:
    """What was seen so far, by the run's ID. Read it under `lock`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runs: dict[str, Seen] = {}
        #: Pods that came before their Workflow's own event: the two streams are not one.
        self._early: dict[str, list[tuple[dict[str, Any], float]]] = {}
        self._names: dict[str, Seen] = {}
        self.broken = ""

    def take(self, event: dict[str, Any], now: float) -> None:
        """Note an event of one of the two watches."""
        item = event["object"]
        if event["type"] == "ERROR":
            self.broken = str(item.get("message", "the watch ended"))
            return
        if event["type"] == "DELETED":
            return
        name = item["metadata"]["name"]
        labels = item["metadata"].get("labels", {})
        with self.lock:
            if item["kind"] == "Workflow":
                if name not in self._names:
                    self._names[name] = self.runs[labels.get(health.RUN, name)] = Seen(name, now)
                    for pod, when in self._early.pop(name, []):
                        self._names[name].take_pod(pod, when)
                self._names[name].take_workflow(item, now)
            elif labels[WORKFLOW] in self._names:
                self._names[labels[WORKFLOW]].take_pod(item, now)
            else:
                self._early.setdefault(labels[WORKFLOW], []).append((item, now))


@contextmanager
def watching(target: Target) -> Iterator[Watch]:
    """Watch the Workflows of a namespace and their pods for the length of a `with` block.

    Only what is made within it is seen.

    Raises:
        CommandError: Kubernetes does not answer.
    """
    watch = Watch()
    streams = [
        _listed(target, PODS, f"&labelSelector={WORKFLOW}"),
        _listed(target, health.WORKFLOWS_PATH),
    ]
    threads = []
    with process.spawned(streams[0]) as pods, process.spawned(streams[1]) as workflows:
        for running in (pods, workflows):
            thread = threading.Thread(target=_follow, args=(running, watch), daemon=True)
            thread.start()
            threads.append(thread)
        yield watch
    for thread in threads:
        thread.join()


def _listed(target: Target, path: str, more: str = "") -> list[str]:
    """Return the command that watches a list from now on."""
    where = path.format(target.namespace)
    said = target.query("get", "--raw", f"{where}?limit=1").stdout
    now = json.loads(said)["metadata"]["resourceVersion"]
    words = f"watch=true&timeoutSeconds={LONGEST}&resourceVersion={now}{more}"
    return target.argv("get", "--raw", f"{where}?{words}")


def _follow(running: subprocess.Popen[str], watch: Watch) -> None:
    assert running.stdout is not None  # noqa: S101 - spawned without a log has a pipe
    try:
        for line in running.stdout:
            now = time.monotonic()
            try:
                watch.take(json.loads(line), now)
            except ValueError:
                watch.broken = line.strip()
    except ValueError:
        return  # closed at the end of the block
    watch.broken = watch.broken or "kubectl ended"


def require_whole(watch: Watch) -> None:
    """Raise where a watch has ended too early, so that moments are missing.

    Raises:
        KitError: It has.
    """
    if watch.broken:
        raise KitError(f"the watch of a run broke off: {watch.broken}", "Start make bench again")
