"""A run that fails, in a block with an exit handler."""

from kfp import dsl

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def stumble(reason: str) -> str:
    raise ValueError(reason)


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def go_on(text: str) -> None:
    print(text)


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def tidy_up(status: dsl.PipelineTaskFinalStatus) -> None:
    print(f"tidied up after {status.pipeline_task_name}: {status.state}")


@dsl.pipeline(name="stumble")
def pipeline(reason: str = "the penguin slipped") -> None:
    """Fail in the first task, so that the second never runs and the exit task does."""
    with dsl.ExitHandler(tidy_up()):
        go_on(text=stumble(reason=reason).output)
