"""A run that lasts until somebody ends it."""

from kfp import dsl

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def sleep() -> None:
    import time

    print("asleep", flush=True)
    time.sleep(3600)


@dsl.pipeline(name="sleep")
def pipeline() -> None:
    """Sleep for an hour."""
    sleep()
