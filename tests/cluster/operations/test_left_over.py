"""An install on the kind cluster removes its own ConfigMaps of earlier installs, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kfpkit.kube import health
from kfpkit.operations import installation as lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.turn(0), pytest.mark.timeout(1200)]

#: Names with and without a hash of kustomize's kind.
OLD, FOREIGN, PLAIN = "trial-2b5cf7ghkt", "trial-9k8m7h6t5d", "trial-settings"


@pytest.fixture
def littered(target: Target) -> Iterator[Target]:
    """Kubeflow Pipelines on the cluster, with three ConfigMaps more."""
    for name in (OLD, FOREIGN, PLAIN):
        target.query("create", "configmap", name, "--from-literal=key=value")
    target.query("label", "configmaps", OLD, PLAIN, health.OWNED)
    yield target
    target.query("delete", "configmaps", "--ignore-not-found", OLD, FOREIGN, PLAIN)


def configmaps(target: Target) -> set[str]:
    return {item["metadata"]["name"] for item in target.items(["configmaps"])}


def test_what_an_earlier_install_left_is_removed_by_a_printed_command(
    littered: Target, capfd: pytest.CaptureFixture[str]
) -> None:
    before = configmaps(littered)
    lifecycle.install(littered, timeout=300)
    assert before - configmaps(littered) == {OLD}
    assert f"delete configmaps --ignore-not-found {OLD}\n" in capfd.readouterr().err
