"""Two steps, the first of which takes its time and hands an artifact to the second."""

from kfp import dsl

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def work(token: str, seconds: int, done: dsl.Output[dsl.Dataset]) -> None:
    """Work for so many seconds, then write the token."""
    import time

    print("at work", flush=True)
    time.sleep(seconds)
    with open(done.path, "w") as file:
        file.write(token)


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def check(token: str, done: dsl.Input[dsl.Dataset]) -> None:
    """Fail unless the artifact holds the token."""
    with open(done.path) as file:
        found = file.read()
    if found != token:
        raise ValueError(f"{found!r}, not {token!r}")
    print(f"found {token}")


@dsl.pipeline(name="two-steps")
def once(token: str, seconds: int) -> None:
    """Try each step once."""
    worked = work(token=token, seconds=seconds)
    check(token=token, done=worked.outputs["done"])


@dsl.pipeline(name="two-steps-retried")
def retried(token: str, seconds: int) -> None:
    """Try each step up to four times."""
    worked = work(token=token, seconds=seconds)
    checked = check(token=token, done=worked.outputs["done"])
    for task in (worked, checked):
        task.set_retry(3, backoff_duration="20s", backoff_factor=1)
