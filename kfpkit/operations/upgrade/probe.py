"""The doctor's canary pipeline run before and after an upgrade: does the cache still know it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfpkit.core import console
from kfpkit.core.errors import KitError, WaitTimeoutError
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import api, reach
from kfpkit.kfp.run import State
from kfpkit.kfp.states import ENDS
from kfpkit.kube import forward

if TYPE_CHECKING:
    from kfpkit.kfp.target import Target


def run(target: Target, token: str, when: str, *, timeout: float) -> int:
    """Run the canary pipeline to its end; the run stays, as evidence.

    Args:
        target: Where.
        token: What it is told: a second run that is told the same may come from the cache.
        when: For the run's name, as in "before the upgrade".
        timeout: Seconds.

    Returns:
        How many of its steps came from the cache.

    Raises:
        KitError: It does not succeed.
    """
    from kfpkit.operations import canary

    with reach.service(target, forward.API) as address:
        client = api.connect(f"http://{address}")
        name = f"{canary.NAME} {when} {token}"
        made = canary.start(client, token, name, target.image_prefix)
        state = ""

        def probe() -> str | None:
            nonlocal state
            state = client.run_state(made)
            return None if state in ENDS else state or "not begun"

        try:
            wait_for("the canary run to end", probe, timeout=timeout)
        except WaitTimeoutError:
            state = f"not at its end after {timeout:.0f} s"
    if ENDS.get(state) is not State.SUCCEEDED:
        raise KitError(f"the canary run {when} is {state}", f"make explain RUN={made}")
    _, cached = canary.cached(target, made)
    console.say(f"canary run {when}: succeeded, {cached} of {canary.STEPS} steps from the cache")
    return cached
