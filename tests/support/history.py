"""What an installation holds before an upgrade, and what of it is lacking afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from kfpkit.operations.backup import inventory
from tests.support.backup_runs import api
from tests.support.installation import run
from tests.support.pipelines.hello import hello

if TYPE_CHECKING:
    from kfpkit.kfp.target import Target

#: A patch of an overlay: a variable more for the API server, which reads it not.
MORE_ENV = {
    "target": {"kind": "Deployment", "name": "ml-pipeline"},
    "patch": yaml.safe_dump(
        [
            {
                "op": "add",
                "path": "/spec/template/spec/containers/0/env/-",
                "value": {"name": "KFPKIT_CHANGED", "value": "yes"},
            }
        ]
    ),
}


def seed(target: Target) -> None:
    """Make a run, a pipeline and a recurring run."""
    run(target, hello, {"name": "before"})
    with api(target) as client:
        pipeline = client.upload_pipeline_from_pipeline_func(hello, pipeline_name="hello")
        (version,) = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions
        client.create_recurring_run(
            client.create_experiment("upgrade").experiment_id,
            "yearly",
            cron_expression="0 0 3 1 1 *",
            pipeline_id=pipeline.pipeline_id,
            version_id=version.pipeline_version_id,
        )


def lacking(target: Target, before: inventory.Inventory) -> list[str]:
    """Return what is gone or has changed."""
    found = inventory.differences(before, inventory.take(target))
    return [line for line in found if not line.endswith(": new")]
