"""What figures were measured on: without it they say nothing."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kfpkit.cluster import lifecycle
from kfpkit.core import process
from kfpkit.core.versions import ROOT, version
from kfpkit.kube import render

if TYPE_CHECKING:
    from kfpkit.kfp.target import Target


def describe(target: Target) -> dict[str, str]:
    """Return what the machine, the cluster and the kit are, each as a line for a person."""
    found = json.loads(target.query("get", "nodes", "--output=json").stdout)["items"]
    info = found[0]["status"]["nodeInfo"]
    marker = lifecycle.look(target.kind)[2] if target.kind else None
    parts = sorted(one["metadata"]["name"] for one in render.workloads(target.documents))
    return {
        "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processors": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Kubernetes": f"{info['kubeletVersion']}, {len(found)} node(s)",
        "containers": info["containerRuntimeVersion"],
        "Kubeflow Pipelines": version("KFP_MODULE_RELEASE"),
        "Argo Workflows": version("ARGO_MODULE_VERSION"),
        "images": str(lifecycle.content(marker)) if marker else "not known",
        "overlay": target.overlay,
        "parts of this kit": ", ".join(parts),
        "kit": _commit(),
        "Python": platform.python_version(),
    }


def _processor() -> str:
    rows = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [row.partition(":")[2].strip() for row in rows if row.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    said = process.query(["git", "describe", "--always", "--dirty"], cwd=ROOT, check=False)
    return said.stdout.strip() if said.ok else "no checkout of git"
