"""Clusters of a test's own: made in spite of kills, started again, with more than one node."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from kfpkit.cluster import lifecycle, tools
from kfpkit.cluster.config import DEFAULT
from kfpkit.core import process
from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(1200)]

NAME = "kfpkit-own"
NODE = f"{NAME}-control-plane"


def kfpkit(config: Path, *arguments: str) -> str:
    """Run the CLI on the test's cluster, and return all that it says."""
    argv = [sys.executable, "-m", "kfpkit", "cluster", *arguments]
    said = process.query(argv, cwd=ROOT, env={"KFPKIT_KIND_CONFIG": str(config)}, check=False)
    return said.stdout + said.stderr


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture
def config(cluster: str, tmp_path: Path) -> Iterator[Path]:  # noqa: ARG001 - its images are there
    """kind's configuration of a cluster beside the usual one, removed afterwards."""
    text = DEFAULT.read_text().replace("name: kfp\n", f"name: {NAME}\n")
    published = lifecycle.published_ports(text)
    for old, new in zip(published, free_ports(len(published)), strict=True):
        text = text.replace(f"hostPort: {old}\n", f"hostPort: {new}\n")
    file = tmp_path / "kind.yaml"
    file.write_text(text)
    yield file
    kfpkit(file, "down", "--yes")
    containers = process.query(["docker", "ps", "--all", "--format", "{{.Names}}"]).stdout
    assert NODE not in containers.split()


def started(pods: str) -> list[str]:
    """Return when each container that runs was started."""
    return sorted(
        container["state"]["running"]["startedAt"]
        for pod in json.loads(pods)["items"]
        for container in pod["status"]["containerStatuses"]
    )


def mine(*what: str) -> set[str]:
    """Return names of the engine's containers and volumes."""
    return set(process.query(["docker", *what]).stdout.split())


@pytest.mark.parametrize(
    ("kill", "moment"),
    [
        # With kind, as a machine's end would.
        (os.killpg, "Preparing nodes"),
        (os.killpg, "Starting control-plane"),
        (os.killpg, "create configmap"),
        # Kind goes on, and at its end removes what it made.
        (os.kill, "Starting control-plane"),
    ],
)
def test_a_killed_up_is_finished_by_the_next_and_nothing_is_left_after_down(
    config: Path, kill: Callable[[int, int], None], moment: str
) -> None:
    volumes = mine("volume", "ls", "--quiet")
    argv = [sys.executable, "-m", "kfpkit", "cluster", "up"]
    env = {"KFPKIT_KIND_CONFIG": str(config)}
    up = process.start(argv, cwd=ROOT, env=env, detach=True)
    assert up.stdout
    said = ""
    for line in up.stdout:
        said += line
        if moment in line:
            kill(up.pid, signal.SIGKILL)
            break
    up.wait()
    assert up.returncode == -signal.SIGKILL, said
    assert not kfpkit(config, "status").startswith("complete: ")

    assert f"the cluster {NAME} is ready" in kfpkit(config, "up")

    assert kfpkit(config, "status").startswith("complete: ")
    kfpkit(config, "down", "--yes")
    assert NODE not in mine("ps", "--all", "--format", "{{.Names}}")
    assert mine("volume", "ls", "--quiet") == volumes


def test_all_that_holds_of_one_node_holds_of_two(config: Path) -> None:
    """Also that a pod reaches a Service whose pod is on the other one."""
    argv = [sys.executable, "-m", "pytest", "--cluster", "tests/cluster/kind/test_cluster.py"]
    env = {"KFPKIT_KIND_CONFIG": str(config), "KFPKIT_NODES": "2"}
    done = process.query(argv, cwd=ROOT, env=env, check=False)
    assert done.ok, done.stdout
    assert "skipped" not in done.stdout
    assert f"{NAME}-worker" in mine("ps", "--format", "{{.Names}}")


@pytest.mark.parametrize("how", ["stop", "restart"])
def test_a_restarted_cluster_comes_back_with_all_its_pods_and_metrics(
    config: Path, how: str
) -> None:
    """Stopped with the machine, or restarted by Docker before anybody asks for the cluster."""
    kubectl = [tools.kubectl(), "--context", f"kind-{NAME}"]
    system = [*kubectl, "--namespace=kube-system", "get", "pods", "--output=json"]
    assert f"the cluster {NAME} is ready" in kfpkit(config, "up")
    before = process.query(system).stdout
    process.query(["docker", how, NODE])
    if how == "stop":
        assert kfpkit(config, "status").startswith("stopped: ")

    said = kfpkit(config, "up")

    assert f"the cluster {NAME} is " in said, said
    assert kfpkit(config, "status").startswith("complete: ")
    after = process.query(system).stdout
    names = [{pod["metadata"]["name"] for pod in json.loads(x)["items"]} for x in (before, after)]
    assert names[0] == names[1]
    assert min(started(after)) > max(started(before)), "every container was started anew"
    assert lifecycle.pods_not_running(after) == []
    assert "Mi" in process.query([*kubectl, "top", "nodes"]).stdout
