"""What the plan reads out of a diff, and which ways from release to release it takes."""

from __future__ import annotations

import pytest

from kfpkit.errors import BadInputError
from kfpkit.install.releases import PATHS
from kfpkit.upgrade import plan
from kfpkit.upgrade.journal import TOUCHED, Phase
from kfpkit.upgrade.phases import WORDS, Upgrade

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
