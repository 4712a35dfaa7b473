"""Running a pipeline on this machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kfpkit.cli import ending, linting
from kfpkit.cli.options import LOCAL
from kfpkit.core import console, process
from kfpkit.core.errors import refusals_of
from kfpkit.runs.local import run as local
from kfpkit.runs.local import task_process
from kfpkit.runs.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kfp.pipelines import Pipeline
    from kfpkit.kfp.run import Parameter
    from kfpkit.kfp.spec import Spec


def run(found: Pipeline, spec: Spec, given: list[Parameter], runs: Path, *, lint: bool) -> None:
    """Run a pipeline that was admitted.

    Raises:
        KitError: It failed, or cannot be run here.
    """
    if lint:
        linting.admit(found, LOCAL)
    in_containers = local.needs_containers(spec)
    how = "in containers" if in_containers else "in processes"
    if found.kubernetes:
        settings = "; ".join(
            f"{name}: {', '.join(fields)}" for name, fields in found.kubernetes.items()
        )
        console.warn(f"settings for Kubernetes have no effect on this machine ({settings})")
    values = ending.values_of(given)
    if process.dry_run():
        console.say(f"would run {found.module} on this machine {how}: {values}")
        return
    if not in_containers:
        task_process.make_environments(spec)
    with refusals_of(runs, ending.OTHER_FOLDER):
        folder = local.new_folder(runs, found.module, datetime.now(UTC))
    console.say(f"running {found.module} on this machine {how}: {values}")
    with refusals_of(folder, ending.OTHER_FOLDER):
        try:
            with Progress() as progress:
                done = local.run(spec, given, folder, progress, in_containers=in_containers)
        except local.InterruptedRun as interrupted:
            ending.report(interrupted.run, folder)
            raise
        ending.report(done, folder)
    ending.fail(done)
