"""What the plan reads out of a diff, and which ways from release to release it takes."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from obstore.store import MemoryStore

from kfpkit.core.errors import BadInputError
from kfpkit.kfp import object_store, secrets
from kfpkit.kfp.database import Database
from kfpkit.kfp.releases import PATHS
from kfpkit.operations import installation as lifecycle
from kfpkit.operations.journal import TOUCHED, Phase
from kfpkit.operations.upgrade import plan
from kfpkit.operations.upgrade.phases import WORDS, Upgrade
from tests.support.outside import target

if TYPE_CHECKING:
    from pathlib import Path

DIFF = """\
diff -u -N /tmp/LIVE-1/apps.v1.Deployment.kubeflow.ml-pipeline /tmp/MERGED-2/apps.v1.Deployment.kubeflow.ml-pipeline
--- /tmp/LIVE-1/apps.v1.Deployment.kubeflow.ml-pipeline\t2026-11-24 12:00:00
+++ /tmp/MERGED-2/apps.v1.Deployment.kubeflow.ml-pipeline\t2026-11-24 12:00:00
@@ -6,7 +6,7 @@
-  generation: 3
+  generation: 4
   name: ml-pipeline
@@ -60,7 +60,7 @@
-        image: kfpkit/kfp-api-server:2.14.3
+        image: ghcr.io/kubeflow/kfp-api-server:2.17.0
diff -u -N /tmp/LIVE-1/v1.Namespace..kubeflow /tmp/MERGED-2/v1.Namespace..kubeflow
--- /tmp/LIVE-1/v1.Namespace..kubeflow\t2026-11-24 12:00:00
+++ /tmp/MERGED-2/v1.Namespace..kubeflow\t2026-11-24 12:00:00
@@ -1,3 +1,3 @@
-    pod-security.kubernetes.io/enforce: baseline
+    pod-security.kubernetes.io/enforce: restricted
diff -u -N /tmp/LIVE-1/autoscaling.v2.HorizontalPodAutoscaler.kubeflow.metadata-grpc /tmp/MERGED-2/autoscaling.v2.HorizontalPodAutoscaler.kubeflow.metadata-grpc
--- /tmp/LIVE-1/autoscaling.v2.HorizontalPodAutoscaler.kubeflow.metadata-grpc\t1970-01-01 00:00:00
+++ /tmp/MERGED-2/autoscaling.v2.HorizontalPodAutoscaler.kubeflow.metadata-grpc\t2026-11-24 12:00:00
@@ -0,0 +1,3 @@
+apiVersion: autoscaling/v2
+kind: HorizontalPodAutoscaler
"""  # noqa: E501 - as kubectl prints it


def test_a_diff_is_told_by_object() -> None:
    assert plan.changes_of(DIFF) == {
        ("Deployment", "ml-pipeline"): (
            "changed",
            [
                "-        image: kfpkit/kfp-api-server:2.14.3",
                "+        image: ghcr.io/kubeflow/kfp-api-server:2.17.0",
            ],
        ),
        ("Namespace", "kubeflow"): (
            "changed",
            [
                "-    pod-security.kubernetes.io/enforce: baseline",
                "+    pod-security.kubernetes.io/enforce: restricted",
            ],
        ),
        ("HorizontalPodAutoscaler", "metadata-grpc"): ("added", []),
    }


def test_no_difference_is_no_change() -> None:
    assert plan.changes_of("") == {}


def test_a_dry_run_asks_no_database_outside_the_cluster_and_says_what_it_does_not_show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def rows(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("kfpkit.core.process._dry_run", True)
    monkeypatch.setattr(Database, "rows", rows)
    releases = iter(["2.14.3", "2.17.0"])
    monkeypatch.setattr(plan, "release", lambda _: next(releases))
    monkeypatch.setattr(secrets, "missing", lambda _: {})
    monkeypatch.setattr(lifecycle, "diff", lambda *_, **__: DIFF)
    monkeypatch.setattr(lifecycle, "not_ready", lambda _: [])
    monkeypatch.setattr(plan, "storage", lambda _: [])
    monkeypatch.setattr(object_store, "opened", lambda _: nullcontext(MemoryStore()))
    assert plan.show(target(), target(), tmp_path / "backups", 600)
    said = " ".join(capsys.readouterr().err.split())
    assert "not shown, since a dry run makes no pod that asks a database outside" in said
    assert "changed Deployment/ml-pipeline" in said
    assert "runs under way:" not in said
    assert "recurring runs, paused until the end: 0" in said
    assert "without the databases the backup takes at most 0 MB" in said


@pytest.mark.parametrize(("source", "to"), PATHS)
def test_a_way_that_was_tried_is_taken(source: str, to: str) -> None:
    plan.require_path(source, to)


@pytest.mark.parametrize(
    ("source", "to", "why"),
    [
        ("2.17.0", "2.14.3", "downgrade.*make rollback"),
        ("2.15.0", "2.9.0", "downgrade"),
        ("2.5.0", "2.14.3", "not tried.*2.14.3 to 2.17.0"),
        ("2.14.3", "2.16.1", "not tried"),
        ("2.17.0", "3.0.0", "not tried"),
    ],
)
def test_every_other_way_is_refused_with_the_reason(source: str, to: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        plan.require_path(source, to)


def test_every_phase_has_its_method_and_its_words() -> None:
    order = list(Phase)
    assert list(WORDS) == order[: order.index(Phase.DONE)]
    for phase in WORDS:
        assert callable(getattr(Upgrade, phase))


def test_a_backup_is_there_before_anything_that_needs_it() -> None:
    order = list(Phase)
    assert list(TOUCHED) == order[order.index(Phase.BACKUP) + 1 :]
