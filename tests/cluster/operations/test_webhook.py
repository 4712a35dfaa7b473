"""The webhook on a real cluster: asked, passed over and told so, and mended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core import process
from kfpkit.core.waiting import wait_for
from kfpkit.doctor.drivers import drivers
from kfpkit.kfp import secrets, webhook
from kfpkit.kfp.workflow import ANNOTATION
from kfpkit.kube import health
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import rotate
from kfpkit.operations import webhook as operations
from kfpkit.warm.webhook import DRIVERS
from tests.support import installation
from tests.support.installation import Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.timeout(900)]


def template(target: Target) -> dict[str, Any]:
    """Return a driver's template as KFP's compiler makes one, with the installation's image."""
    (deployment,) = (
        d
        for d in target.documents
        if (d["kind"], d["metadata"]["name"]) == ("Deployment", "ml-pipeline")
    )
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    (image,) = (v["value"] for v in server["env"] if v["name"] == "V2_DRIVER_IMAGE")
    return {
        "name": DRIVERS[1],
        "container": {
            "image": image,
            "command": ["driver"],
            "args": ["--execution_id_path", "{{outputs.parameters.execution-id.path}}"],
        },
        "outputs": {"parameters": [{"name": "execution-id", "valueFrom": {"path": "/outputs/id"}}]},
    }


def asked(target: Target) -> bool:
    """Whether the Kubernetes API asks the webhook of a Workflow: of one that is not kept."""
    made = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "webhook-test-"},
        "spec": {"entrypoint": DRIVERS[1], "templates": [template(target)]},
    }
    argv = target.argv("create", "--dry-run=server", "--filename=-", "--output=json")
    answer = json.loads(process.query(argv, stdin=json.dumps(made)).stdout)
    return ANNOTATION in answer["metadata"].get("annotations", {})


def wait_until_asked(target: Target) -> None:
    """Wait: the Kubernetes API takes a moment to know of a change."""
    wait_for("the webhook", lambda: None if asked(target) else "passed over", timeout=60)


def told(target: Target) -> list[str]:
    return [finding.evidence for finding in webhook.troubles(target)]


@pytest.mark.turn(0)
def test_a_bundle_that_does_not_fit_is_told_and_an_install_mends_it(target: Target) -> None:
    wait_until_asked(target)
    assert told(target) == []
    strange = webhook.certificate(target.namespace)[webhook.CRT]
    operations.connect(target, strange)
    try:
        wait_for("the API", lambda: "still asked" if asked(target) else None, timeout=60)
        (said,) = told(target)
        assert "does not fit the Secret" in said
        assert said in [finding.evidence for finding in drivers(target)]
    finally:
        lifecycle.install(target, timeout=600)
    assert told(target) == []
    wait_until_asked(target)


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_a_certificate_lives_and_goes_with_its_installation(cluster: str, tmp_path: Path) -> None:
    with installation.installed(tmp_path, cluster, Wanted("kfp-webhook-test")) as target:
        wait_until_asked(target)
        first = secrets.read(target, webhook.SECRET)
        rotate.rotate(target, timeout=600, despite_runs=False)
        second = secrets.read(target, webhook.SECRET)
        assert second[webhook.CRT] != first[webhook.CRT]
        assert told(target) == []
        wait_until_asked(target)

        # Without a pod, a Workflow is made all the same, and it is told why it has driver pods.
        target.run("scale", operations.DEPLOYMENT, "--replicas=0")
        wait_for("the end of its pod", lambda: "ready" if not told(target) else None, timeout=120)
        assert not asked(target)
        target.run("scale", operations.DEPLOYMENT, "--replicas=1")
        lifecycle.wait_until_ready(target, timeout=600)
        wait_until_asked(target)

        lifecycle.uninstall(target, delete_data=False)
        assert webhook.configured(target) is None
        assert secrets.read(target, webhook.SECRET) == second
        assert target.items(["deployments"], "--selector", health.OWNED) == []
