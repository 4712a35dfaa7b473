"""The node's container is started anew while runs are in flight."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from kfpkit.cluster import config, lifecycle
from kfpkit.core import process
from kfpkit.core.errors import CommandError, join_names
from kfpkit.core.waiting import wait_for
from kfpkit.kube import forward
from kfpkit.operations.installation import components
from tests.support import evidence
from tests.support.faults import starter

if TYPE_CHECKING:
    from collections.abc import Callable

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.long, pytest.mark.timeout(1800)]


def restarts(target: Target) -> dict[str, int]:
    """Return how often the containers of each part were started again."""
    return {part.name: part.restarts for part in components(target)}


def test_a_restarted_node(target: Target, note: Callable[..., None]) -> None:
    import kfp

    nodes = sorted(lifecycle.observe(config.load()).containers)
    with forward.opened(target, forward.API) as address:
        host = f"http://{address}"
        begin = starter(target, kfp.Client(host=host), host)
        once, retried = begin(600), begin(30, retries=True)
        for run in (once, retried):
            evidence.at_work(run)
        before = restarts(target)
        process.run(["docker", "restart", *nodes])
        began = time.monotonic()

        def starting() -> str | None:
            try:
                now = restarts(target)
            except CommandError as error:
                return error.stderr.strip() or "no answer"
            left = [name for name in before if now.get(name) == before[name]]
            return join_names(left) if left else None

        # Until the kubelet is there again, the pods are as ready as they were.
        wait_for("each part's new start", starting, timeout=evidence.PATIENCE, interval=0.5)
        recovery = evidence.recovery(target, began)
        lifecycle.up(config.load(), nodes=len(nodes))  # For what is not KFP's: metrics come later.
        after = begin(1)
        ends = evidence.judge([once, retried, after])
    told = [evidence.told(ends[run.id]) for run in (once, retried, after)]
    note("node restarted", f"{recovery:.0f} s", told[0], told[1], "", told[2])
    assert ends[once.id].state in ("Failed", "Error")
    assert ends[after.id].state == "Succeeded"
    evidence.require_recovered(recovery)
