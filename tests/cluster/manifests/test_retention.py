"""The option retention on a real volume: old logs go, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kfpkit.cluster import loading
from kfpkit.cluster.config import load as kind_cluster
from kfpkit.core import process
from kfpkit.images import recipe
from kfpkit.kfp.target import Target, built_images, choose
from kfpkit.operations import installation as lifecycle
from tests.support import installation
from tests.support.installation import Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kube import render

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

NAMESPACE = "kfp-retention-test"

#: Files of the store, their age in days, and whether they are kept where logs stay for a week.
FILES = {
    "artifacts/old-run/pod-1/main.log": (8.1, False),
    "artifacts/new-run/pod-1/main.log": (6.5, True),
    "artifacts/new-run/pod-2/main.log": (0, True),
    "artifacts/old-run/pod-1/other": (400, True),
    "v2/artifacts/penguins/old-run/train/model": (400, True),
    "v2/artifacts/penguins/old-run/train/executor-logs/main.log": (400, True),
    "pipelines/old": (400, True),
}

FILL = """
import os, pathlib, sys, time
for name, age in zip(sys.argv[1::2], sys.argv[2::2]):
    file = pathlib.Path("/data/mlpipeline", name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x")
    past = time.time() - float(age) * 86400
    os.utime(file, (past, past))
print("filled", flush=True)
time.sleep(3600)
"""


def store() -> render.Document:
    """Return a pod in the place of the object store: with its label, its user and its volume."""
    ages = [text for name, (age, _) in FILES.items() for text in (name, str(age))]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "store", "labels": {"app.kubernetes.io/name": "object-store"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
            "containers": [
                {
                    "name": "store",
                    "image": recipe.load(recipe.IMAGES / "python-runtime").references[0],
                    "command": ["python3", "-c", FILL, *ages],
                    "volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": "objects"}],
                }
            ],
            "volumes": [
                {
                    "name": "data",
                    "persistentVolumeClaim": {"claimName": "data-object-store-0"},
                }
            ],
        },
    }


def test_old_logs_go_and_nothing_else(cluster: str, tmp_path: Path) -> None:
    like = choose(context=cluster)
    wanted = Wanted(NAMESPACE, options=("retention",), parameters={"keepLogsDays": "7"})
    installation.write_overlay(tmp_path, wanted, like.overlay)
    target = Target(str(tmp_path), cluster, like.kubectl, kind=like.kind)
    loading.load(kind_cluster(), ["python-runtime", *built_images(target.documents)])
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-object-store-0"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    needed = [d for d in target.documents if d["kind"] in ("CronJob", "ConfigMap")]
    items = {"apiVersion": "v1", "kind": "List", "items": [claim, store(), *needed]}
    kubectl = [target.kubectl, "--context", cluster]
    lifecycle.uninstall(target, delete_data=True)
    try:
        process.query([*kubectl, "create", "namespace", NAMESPACE])
        target.query("create", "--filename", "-", stdin=json.dumps(items))
        target.query("wait", "pod/store", "--for=condition=Ready", "--timeout=180s")
        said = []
        for turn in ("first", "second"):
            target.query("create", "job", turn, "--from=cronjob/retention")
            done = ("wait", f"job/{turn}", "--for=condition=Complete", "--timeout=180s")
            ended = target.query(*done, check=False).ok
            said.append(target.query("logs", f"job/{turn}", check=False).stdout.strip())
            assert ended, said
        found = target.query("exec", "store", "--", "find", "/data/mlpipeline", "-type", "f").stdout
    finally:
        lifecycle.uninstall(target, delete_data=True)
    assert sorted(found.split()) == sorted(
        f"/data/mlpipeline/{name}" for name, (_, kept) in FILES.items() if kept
    )
    assert said == ["1", "0"]  # The number of logs that went: the second job finds none.
