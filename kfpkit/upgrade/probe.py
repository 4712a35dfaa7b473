"""The doctor's canary pipeline run before and after an upgrade: does the cache still know it?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kfpkit import console
from kfpkit.doctor import explain, reach
from kfpkit.errors import KitError
from kfpkit.install import api, forward, health

if TYPE_CHECKING:
    from kfpkit.install.target import Target

#: Steps of the pipeline.
STEPS = 2


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
    from kfp import compiler

    from kfpkit.doctor import canary

    with (
        reach.service(target, forward.API) as address,
        tempfile.TemporaryDirectory() as folder,
        api.asking(address, "the canary run"),
    ):
        client = api.connect(f"http://{address}")
        file = Path(folder) / "canary.yaml"
        compiler.Compiler().compile(canary.canary, str(file))
        made = client.create_run_from_pipeline_package(
            str(file),
            arguments={"token": token},
            run_name=f"{canary.NAME} {when} {token}",
            experiment_name=canary.NAME,
            enable_caching=True,
        )
        try:
            state = client.wait_for_run_completion(
                made.run_id, timeout=timeout, sleep_duration=2
            ).state
        except TimeoutError:
            state = f"not at its end after {timeout:.0f} s"
    if state != "SUCCEEDED":
        raise KitError(f"the canary run {when} is {state}", f"make explain RUN={made.run_id}")
    (workflow,) = target.items(["workflows"], "--selector", f"{health.RUN}={made.run_id}")
    cached = len(explain.cached_steps(workflow))
    console.say(f"canary run {when}: succeeded, {cached} of {STEPS} steps from the cache")
    return cached
