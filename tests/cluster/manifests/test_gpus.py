"""The option gpu-nodes: a step waits for a GPU that the quota does not leave it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core.waiting import wait_for
from kfpkit.kube import forward
from tests.support import steps
from tests.support.renders import rendered

if TYPE_CHECKING:
    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.turn(0), pytest.mark.timeout(1500)]

RESOURCE = "requests.nvidia.com/gpu"
#: Seconds for a step; all runs of the tests share the cluster's processors.
PATIENCE = 900.0


def messages(target: Target, run: str) -> list[str]:
    """Return what Argo says about the nodes of a run's Workflow."""
    found = target.items(["workflows.argoproj.io"], f"--selector=pipeline/runid={run}")
    return [
        node.get("message", "")
        for workflow in found
        for node in workflow.get("status", {}).get("nodes", {}).values()
    ]


def pods_with_gpu(target: Target, run: str) -> list[dict[str, Any]]:
    pods = target.items(["pods"], f"--selector=pipeline/runid={run}")
    return [
        pod
        for pod in pods
        for container in pod["spec"]["containers"]
        if "nvidia.com/gpu" in container.get("resources", {}).get("limits", {})
    ]


def test_a_step_waits_until_the_quota_leaves_it_a_gpu(target: Target) -> None:
    import kfp

    (quota,) = [d for d in rendered("overlays/gke") if d["kind"] == "ResourceQuota"]
    assert set(quota["spec"]["hard"]) == {RESOURCE}
    none = {**quota, "spec": {"hard": {RESOURCE: "0"}}}
    name = f"resourcequota/{quota['metadata']['name']}"
    target.query("delete", name, "--ignore-not-found")
    try:
        target.query("create", "--filename", "-", stdin=json.dumps(none))
        with forward.opened(target, forward.API) as address:
            client = kfp.Client(host=f"http://{address}")
            run = client.create_run_from_pipeline_func(
                steps.accelerated(), arguments={}, enable_caching=False
            ).run_id
            try:
                wait_for(
                    "the step to be told to wait",
                    lambda: (
                        None
                        if any("exceeded quota" in said for said in messages(target, run))
                        else "; ".join(filter(None, messages(target, run))) or "nothing said"
                    ),
                    timeout=PATIENCE,
                )
                assert client.get_run(run).state in (None, "PENDING", "RUNNING")
                assert pods_with_gpu(target, run) == []
                more = json.dumps({"spec": {"hard": {RESOURCE: "1"}}})
                target.query("patch", name, "--type=merge", f"--patch={more}")
                wait_for(
                    "the pod of the step",
                    lambda: None if pods_with_gpu(target, run) else "none yet",
                    timeout=PATIENCE,
                )
            finally:
                # Or its pod would keep the one GPU that there is not.
                client.terminate_run(run)
    finally:
        target.query("delete", name, "--ignore-not-found")
