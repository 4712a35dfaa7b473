"""How long commands take before anything runs, and as a multiple of `import kfp`.

Usage: .venv/bin/python benchmarks/startup.py [--times NUMBER]

Prints a table in Markdown of medians. Every round runs each command once, `import kfp` among them,
so that what else the machine does weighs on all alike: the multiples of two machines, or of two
commits, can be compared, the seconds only on one machine at rest. Nothing is changed anywhere; the
row of the kind cluster has all but the API's answers where that cluster is up.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections import defaultdict
from statistics import median
from typing import Annotated

import typer

from kfpkit.core import console, process
from kfpkit.core.errors import KitError
from kfpkit.core.versions import ROOT

KFPKIT = (sys.executable, "-m", "kfpkit")

BASE = "import kfp"

#: Commands by what the table calls them.
COMMANDS = {
    BASE: (sys.executable, "-c", "import kfp"),
    "kfpkit --help": (*KFPKIT, "--help"),
    "a pipeline that is not there": (*KFPKIT, "run", "nope"),
    "a parameter that is not there": (*KFPKIT, "run", "penguins", "nope=1"),
    "the same for the kind cluster": (*KFPKIT, "run", "penguins", "nope=1", "--target", "kind"),
    "a run on this machine, until it begins": (*KFPKIT, "--dry-run", "run", "penguins"),
    "a run on the kind cluster, until it begins": (
        *(*KFPKIT, "--dry-run", "run", "penguins"),
        *("--target", "kind"),
    ),
}


def main(times: Annotated[int, typer.Option(min=1, help="Rounds.")] = 7) -> None:
    """Measure and print."""
    # Each command is run as a person does: in the checkout, without what is set for this one.
    os.environ.pop("KFPKIT_DRY_RUN", None)
    wall: defaultdict[str, list[float]] = defaultdict(list)
    processor: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(times):
        console.say(f"round {number + 1} of {times}")
        for name, argv in COMMANDS.items():
            began, used = time.monotonic(), _used()
            done = process.query(argv, cwd=ROOT, check=False)
            wall[name].append(time.monotonic() - began)
            processor[name].append(_used() - used)
            if done.returncode > 1 or "Traceback" in done.stderr:
                raise KitError(f"{name} is no measure of anything:\n{done.stderr}")
    lines = [f"| command | seconds | of a processor | times {BASE} |", "|---" * 4 + "|"]
    for name in COMMANDS:
        ratio = median(
            one / base for one, base in zip(processor[name], processor[BASE], strict=True)
        )
        seconds, of_processor = median(wall[name]), median(processor[name])
        lines.append(f"| {name} | {seconds:.2f} | {of_processor:.2f} | {ratio:.2f} |")
    console.out.print("\n".join(lines), markup=False)


def _used() -> float:
    """Return the seconds of a processor that all ended child processes took."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    typer.run(main)
