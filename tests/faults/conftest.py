"""An installation that may be harmed, in a namespace of its own, and the table of what happened."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from kfpkit.cluster import tools
from kfpkit.core import process
from kfpkit.core.waiting import wait_for
from kfpkit.kfp.target import Target, choose
from kfpkit.kube import forward
from kfpkit.operations import installation as lifecycle
from tests.kfp.runs import Run
from tests.manifests import installation
from tests.manifests.installation import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from _pytest.terminal import TerminalReporter

NAMESPACE = "kfp-faults-test"

#: The volume of the object store: a file system in memory, which is full when it is full.
FOLDER, SIZE = "/var/kfpkit-faults-test", "64m"

#: Rows of the table.
ROWS = pytest.StashKey[list[tuple[str, ...]]]()
HEAD = (
    "fault",
    "works again",
    "at work",
    "at work, with retries",
    "begins",
    "started afterwards",
)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    if not config.stash[ROWS]:
        return
    terminalreporter.section("faults")
    for row in (HEAD, *config.stash[ROWS]):
        terminalreporter.line(f"| {' | '.join(row)} |")


@pytest.fixture(scope="session")
def note(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Add a row to the table that is printed at the end."""

    def note(*cells: str) -> None:
        request.config.stash[ROWS].append(cells)

    return note


@dataclass(frozen=True)
class Volume:
    """A folder of a node in which there is little room."""

    context: str
    node: str

    def run(self, script: str) -> process.Result:
        """Run a shell script on the node."""
        return process.run(["docker", "exec", self.node, "sh", "-ec", script], check=False)

    @contextmanager
    def made(self) -> Iterator[None]:
        """Have it, known to the cluster, for the length of a `with` block."""
        gone = ("delete", "persistentvolume", NAMESPACE, "--ignore-not-found")
        unmount = f"umount {FOLDER}; rmdir {FOLDER}"
        kubectl(self.context, *gone)
        self.run(unmount)
        self.run(f"mkdir {FOLDER} && mount -t tmpfs -o size={SIZE},mode=777 tmpfs {FOLDER}")
        kubectl(
            self.context, "create", "--filename=-", stdin=_PERSISTENT.replace("NODE", self.node)
        )
        yield
        if not os.environ.get("KEEP"):
            kubectl(self.context, *gone)
            self.run(unmount)


def kubectl(context: str, *arguments: str, stdin: str | None = None) -> str:
    """Run kubectl on what is in no namespace."""
    argv = [tools.kubectl(), "--context", context, *arguments]
    return process.query(argv, stdin=stdin).stdout


@pytest.fixture(scope="module")
def volume(cluster: str) -> Volume:
    """The volume of the installation, on a node that takes pods."""
    taken = "jsonpath={range .items[*]}{.metadata.name}{' '}{.spec.taints[*].effect}{'\\n'}{end}"
    rows = kubectl(cluster, "get", "nodes", f"--output={taken}").splitlines()
    return Volume(cluster, next(row.split()[0] for row in rows if "NoSchedule" not in row))


_PERSISTENT = f"""
apiVersion: v1
kind: PersistentVolume
metadata:
  name: {NAMESPACE}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {{storage: 20Gi}}
  claimRef: {{namespace: {NAMESPACE}, name: data-object-store-0}}
  local: {{path: {FOLDER}}}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions:
            - {{key: kubernetes.io/hostname, operator: In, values: [NODE]}}
"""

#: The claim takes that volume and no other.
_CLAIM = f"""
- op: add
  path: /spec/volumeClaimTemplates/0/spec/storageClassName
  value: ""
- op: add
  path: /spec/volumeClaimTemplates/0/spec/volumeName
  value: {NAMESPACE}
"""


@pytest.fixture(scope="module")
def harmed(
    cluster: str, volume: Volume, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """The installation."""
    folder: Path = tmp_path_factory.mktemp("overlay")
    claim = {"target": {"kind": "StatefulSet", "name": "object-store"}, "patch": _CLAIM}
    wanted = Wanted(namespace=NAMESPACE, patches=(claim,))
    like = choose(context=cluster)
    installation.write_overlay(folder, wanted, like.overlay)
    earlier = Target(str(folder), cluster, like.kubectl)
    lifecycle.uninstall(earlier, delete_data=True)  # It would hold the volume.
    with volume.made(), installation.installed(folder, cluster, wanted) as target:
        yield target


@pytest.fixture(scope="module")
def host(harmed: Target) -> Iterator[str]:
    """Where its API is."""
    with forward.opened(harmed, forward.API) as address:
        yield f"http://{address}"


@pytest.fixture(scope="module")
def client(host: str) -> Any:
    """The SDK's client of its API."""
    import kfp

    return kfp.Client(host=host)


@pytest.fixture(scope="module")
def begin(harmed: Target, client: Any, host: str) -> Callable[..., Run]:
    """Start a run of two steps; with `retries`, each of them is tried again."""
    return starter(harmed, client, host)


def starter(target: Target, client: Any, host: str) -> Callable[..., Run]:
    """Return what starts runs of two steps."""
    from tests.kfp.pipelines import two_steps

    def answers() -> str | None:
        """Return why the API does not answer: kubectl connects again when it was asked once."""
        try:
            requests.get(f"{host}/apis/v2beta1/healthz", timeout=5).raise_for_status()
        except requests.RequestException as error:
            return str(error)
        return None

    def begin(seconds: int, *, retries: bool = False) -> Run:
        wait_for("the API", answers, timeout=60, interval=0.5)
        made = client.create_run_from_pipeline_func(
            two_steps.retried if retries else two_steps.once,
            arguments={"token": uuid.uuid4().hex, "seconds": seconds},
            experiment_name="faults",
            enable_caching=False,
        )
        return Run(client, target, host, made.run_id)

    return begin
