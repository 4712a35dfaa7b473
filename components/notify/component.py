"""The component for pipelines written in Python."""

from kfp import dsl

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def notify(
    status: dsl.PipelineTaskFinalStatus,
    run_name: str = "",
    run_id: str = "",
    ui_address: str = "",
) -> None:
    """Say how a run ended: to a webhook, to Slack, by mail.

    Args:
        status: How the block ended that this is the exit task of; KFP gives it.
        run_name: Name of the run, dsl.PIPELINE_JOB_NAME_PLACEHOLDER.
        run_id: ID of the run, dsl.PIPELINE_JOB_ID_PLACEHOLDER.
        ui_address: Address of KFP's web UI as readers have it, for the link; empty for no link.
    """
    import json

    from components.notify import logic

    ended = {
        "state": status.state,
        "pipelineJobResourceName": status.pipeline_job_resource_name,
        "pipelineTaskName": status.pipeline_task_name,
        "error": {"message": status.error_message},
    }
    logic.notify(json.dumps(ended), run_name, run_id, ui_address)
