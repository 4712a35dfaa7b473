"""The installation that may be harmed, and the table of what happened."""

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
from tests.support.runs import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kfpkit.kfp.target import Target


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
        kubectl(self.context, "create", "--filename=-", stdin=PERSISTENT.replace("NODE", self.node))
        yield
        if not os.environ.get("KEEP"):
            kubectl(self.context, *gone)
            self.run(unmount)


def kubectl(context: str, *arguments: str, stdin: str | None = None) -> str:
    """Run kubectl on what is in no namespace."""
    argv = [tools.kubectl(), "--context", context, *arguments]
    return process.query(argv, stdin=stdin).stdout


PERSISTENT = f"""
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
CLAIM = f"""
- op: add
  path: /spec/volumeClaimTemplates/0/spec/storageClassName
  value: ""
- op: add
  path: /spec/volumeClaimTemplates/0/spec/volumeName
  value: {NAMESPACE}
"""


def starter(target: Target, client: Any, host: str) -> Callable[..., Run]:
    """Return what starts runs of two steps."""
    from tests.support.pipelines import two_steps

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
