"""What Kubeflow Pipelines takes of a cluster: asked for, used idle, used while runs are on.

Usage: .venv/bin/python benchmarks/footprint.py [--idle SECONDS] [--runs NUMBER]

Prints a table in Markdown, of the most that was seen. The figures are the kubelets', from which
`kubectl top` has its own too: processor over the last ten seconds or so, and the working set of the
memory. Start it when nothing else runs in the namespace.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import kfp
import typer
from kubernetes.utils.quantity import parse_quantity

from kfpkit.core import console
from kfpkit.kfp import pipelines
from kfpkit.kfp.target import Target, choose
from kfpkit.kube import health, render

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds between two samples.
INTERVAL = 5.0

#: Name under which the pods of all runs are added up.
RUNS = "pods of the runs"

#: Use of each part: processor in cores, memory in bytes.
Sample = dict[str, tuple[Decimal, Decimal]]


@dataclass
class Use:
    """The samples of a while."""

    samples: list[Sample] = field(default_factory=list)

    def most(self, names: set[str]) -> tuple[Decimal, Decimal]:
        """Return the most that these parts used together, in cores and in bytes."""
        sums = [
            [sum(sample[name][unit] for name in names & set(sample)) for unit in (0, 1)]
            for sample in self.samples
        ] or [[Decimal(), Decimal()]]
        return max(Decimal(s[0]) for s in sums), max(Decimal(s[1]) for s in sums)


def main(
    idle: Annotated[float, typer.Option(help="Seconds to look at it idle.")] = 120,
    runs: Annotated[int, typer.Option(help="Runs of the sample pipeline at a time.")] = 1,
    host: Annotated[str, typer.Option(envvar="KFP_HOST")] = "http://localhost:8888",
) -> None:
    """Measure and print."""
    os.environ.pop("DRY_RUN", None)
    target = choose()
    asked = requests(target)
    quiet, busy = Use(), Use()
    ends = time.monotonic() + idle
    console.say(f"idle for {idle:.0f} s")
    while time.monotonic() < ends:
        quiet.samples.append(sample(target, asked))
        time.sleep(INTERVAL)
    client = kfp.Client(host=host)
    console.say(f"{runs} runs of penguins, nothing from the cache")
    began = time.monotonic()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "penguins.yaml"
        pipelines.compile_to(pipelines.find("penguins"), file)
        started = [
            client.create_run_from_pipeline_package(
                str(file), enable_caching=False, experiment_name="footprint"
            ).run_id
            for _ in range(runs)
        ]
    states = {""}
    while states - {"SUCCEEDED", "FAILED", "CANCELED"}:
        busy.samples.append(sample(target, asked))
        time.sleep(INTERVAL)
        states = {client.get_run(run).state for run in started}
    console.say(f"{', '.join(states)} after {time.monotonic() - began:.0f} s")
    print_table(asked, quiet, busy)


@contextmanager
def sampling(target: Target) -> Iterator[Use]:
    """Take samples of the parts for the length of a `with` block."""
    use, over, parts = Use(), threading.Event(), requests(target)

    def take() -> None:
        while not over.wait(2 * INTERVAL):
            use.samples.append(sample(target, parts))

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    try:
        yield use
    finally:
        over.set()
        thread.join()


def requests(target: Target) -> Sample:
    """Return what the pods of each part ask for."""
    asked: Sample = {}
    for workload in target.items(["deployments", "statefulsets"], f"--selector={health.OWNED}"):
        sums: Counter[str] = Counter()
        for container in render.pod_spec(workload)["containers"]:
            for unit, amount in container.get("resources", {}).get("requests", {}).items():
                sums[unit] += parse_quantity(amount) * workload["spec"]["replicas"]
        asked[workload["metadata"]["name"]] = Decimal(sums["cpu"]), Decimal(sums["memory"])
    return asked


def sample(target: Target, parts: Sample) -> Sample:
    """Return what the pods of each part use now, and those of all runs together."""
    used: Sample = {}
    nodes = target.query("get", "nodes", "--output=jsonpath={.items[*].metadata.name}").stdout
    for node in nodes.split():
        path = f"/api/v1/nodes/{node}/proxy/stats/summary"
        found: dict[str, Any] = json.loads(target.query("get", "--raw", path).stdout)
        for pod in found["pods"]:
            if pod["podRef"]["namespace"] != target.namespace:
                continue
            # A pod is named after its workload; the longest that fits: ml-pipeline, ml-pipeline-ui.
            owners = [name for name in parts if pod["podRef"]["name"].startswith(f"{name}-")]
            name = max(owners, key=len, default=RUNS)
            cores, memory = used.get(name, (Decimal(), Decimal()))
            cores += Decimal(pod.get("cpu", {}).get("usageNanoCores", 0)) / 10**9
            memory += Decimal(pod.get("memory", {}).get("workingSetBytes", 0))
            used[name] = cores, memory
    return used


def print_table(asked: Sample, quiet: Use, busy: Use) -> None:
    """Print a row for each part, one for all of them, and one for the runs."""

    def row(title: str, *amounts: tuple[Decimal, Decimal] | None) -> str:
        cells = [
            f"{amount[0] * 1000:.0f}m | {amount[1] / 2**20:.0f} MiB" if amount else "- | -"
            for amount in amounts
        ]
        return f"| {title} | {' | '.join(cells)} |"

    units = ("CPU asked for", "memory", "CPU idle", "memory", "CPU in a run", "memory")
    lines = [f"| part | {' | '.join(units)} |", "|---" * 7 + "|"]
    lines += [row(n, asked[n], quiet.most({n}), busy.most({n})) for n in sorted(asked)]
    parts = set(asked)
    total = sum(a[0] for a in asked.values()), sum(a[1] for a in asked.values())
    all_asked = Decimal(total[0]), Decimal(total[1])
    lines.append(row("**all parts**", all_asked, quiet.most(parts), busy.most(parts)))
    lines.append(row(RUNS, None, None, busy.most({RUNS})))
    console.out.print("\n".join(lines), markup=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
