"""What `make bench` measures that is no run: memory at rest, the way from nothing to a run."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks import footprint
from benchmarks.growth import measure
from kfpkit.cluster import config
from kfpkit.core import console, process
from kfpkit.core.versions import ROOT
from kfpkit.core.waiting import wait_for
from kfpkit.kube import health

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.sides import Side

#: Samples of both sides at rest.
SAMPLES = 6

#: Added to the ports of kind's configuration for a second cluster.
SHIFT = 10000


@dataclass(frozen=True)
class Other:
    """What is measured once, in its own way; it returns what JSON can hold."""

    title: str
    quick: bool
    measure: Callable[[Side, Side], dict[str, Any]]


def idle(ours: Side, upstream: Side) -> dict[str, Any]:
    """Return what each part takes at rest: by side and part, the medians of cores and bytes.

    A controller holds every Workflow in its memory: `workflows` says how many there are.
    """
    parts = {side.name: footprint.requests(side.target) for side in (ours, upstream)}
    seen: dict[str, list[footprint.Sample]] = {name: [] for name in parts}

    def probe() -> str | None:
        for side in (ours, upstream):
            seen[side.name].append(footprint.sample(side.target, parts[side.name]))
        taken = len(seen["ours"])
        return None if taken >= SAMPLES else f"{taken} of {SAMPLES} samples"

    wait_for("both sides at rest", probe, timeout=600, interval=footprint.INTERVAL)
    kept = {s.name: len(s.target.items([health.WORKFLOWS])) for s in (ours, upstream)}
    by_side = {
        side: {
            part: {
                "cores": float(median(one[part][0] for one in samples if part in one)),
                "bytes": float(median(one[part][1] for one in samples if part in one)),
                "asked_cores": float(parts[side][part][0]),
                "asked_bytes": float(parts[side][part][1]),
            }
            for part in sorted(parts[side])
            if any(part in one for one in samples)
        }
        for side, samples in seen.items()
    }
    return {**by_side, "workflows": kept}


def from_nothing(ours: Side, upstream: Side) -> dict[str, Any]:
    """Return the seconds from no cluster to the end of a first run, in a second kind cluster.

    Its images are in the kit's cache, as on any machine after the first time.
    """
    del upstream
    first = ours.target.kind.config if ours.target.kind else config.DEFAULT
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kind.yaml"
        file.write_text(second_cluster(first.read_text(encoding="utf-8")))
        where = f"--kind-config={file}"
        steps = {
            "cluster-up": ["cluster", "up", where, "--images=packages"],
            "install": ["install", where],
            "run": ["run", where, "--target=kind", f"--runs={folder}", "--", "penguins"],
        }
        taken = {}
        try:
            for name, words in steps.items():
                began = time.monotonic()
                process.stream(
                    [sys.executable, "-m", "kfpkit", *words], cwd=ROOT, on_line=console.say
                )
                taken[name] = time.monotonic() - began
                console.say(f"{name}: {taken[name]:.0f} s")
        finally:
            process.run([sys.executable, "-m", "kfpkit", "cluster", "down", where, "--yes"])
    return taken


def second_cluster(text: str) -> str:
    """Return kind's configuration of a cluster beside the one that a configuration is of."""
    found = yaml.safe_load(text)
    found["name"] += "-bench"
    for node in found["nodes"]:
        for mapping in node.get("extraPortMappings", []):
            mapping["hostPort"] += SHIFT
    return yaml.safe_dump(found)


def growth(ours: Side, upstream: Side) -> dict[str, Any]:
    """Return what the API and the cache's look-up take with many runs: see benchmarks/growth.py.

    Its containers are its own: neither side is asked.
    """
    del upstream
    return measure(ours.target, [1000, 100_000], 5)


#: By name.
OTHERS = {
    "idle": Other("memory and processor at rest", True, idle),
    "growth": Other("the API with 1 000 and 100 000 runs", False, growth),
    "from-nothing": Other("from no cluster to the end of a first run", False, from_nothing),
}
