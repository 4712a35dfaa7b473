"""What tests of backup, prune and upgrade share: the API, what a run left in the cache, a kill."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core import process
from kfpkit.core.versions import ROOT
from kfpkit.kube import forward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.kfp.target import Target


#: The state of an execution of the metadata whose outputs were taken from an earlier one.
CACHED = 5


@contextmanager
def api(target: Target) -> Iterator[Any]:
    """Yield the SDK's client of an installation."""
    import kfp

    with forward.opened(target, forward.API) as address:
        yield kfp.Client(host=f"http://{address}")


def killed(target: Target, said: str, *arguments: str, by: int = signal.SIGKILL) -> None:
    """Run the kit and kill it as soon as it prints something."""
    argv = [sys.executable, "-m", "kfpkit", *arguments]
    env = {
        "KFPKIT_OVERLAY": target.overlay,
        "KFPKIT_CONTEXT": target.context,
        "KFPKIT_YES": "1",
    }
    with process.spawned(argv, cwd=ROOT, env=env) as running:
        assert running.stdout
        for line in running.stdout:
            if said in line:
                os.kill(running.pid, by)
                break
        else:
            pytest.fail(f"the kit never printed {said!r}")
        running.wait(timeout=300)
    assert running.returncode
