"""Pipelines that cluster tests run; kfp reads annotations as they stand."""

from typing import Any

from kfp import dsl

from kfpkit.images import recipe


def _step(function: Any) -> Any:
    image = recipe.load(recipe.IMAGES / "python-runtime").references[0]
    return dsl.component(function, base_image=image, install_kfp_package=False)


def connecting() -> Any:
    """Return a pipeline whose step fails unless it can reach exactly what it should."""

    def connect(program: str, wanted: str) -> None:
        import json
        import subprocess
        import sys

        expected = json.loads(wanted)
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", program, *expected], capture_output=True, text=True, check=True
        )
        found = {address: address in done.stdout.split() for address in expected}
        if found != expected:
            raise SystemExit(f"reached: {found}")

    step = _step(connect)

    def pipeline(program: str, wanted: str) -> None:
        step(program=program, wanted=wanted)

    return dsl.pipeline(pipeline, name="connecting")


def keeping(*, reading: bool = True) -> Any:
    """Return a pipeline that writes an artifact in one step and reads it in another, if told to."""

    def write(text: str, kept: dsl.Output[dsl.Dataset]) -> None:
        from pathlib import Path

        Path(kept.path).write_text(text)

    def read(text: str, kept: dsl.Input[dsl.Dataset]) -> None:
        from pathlib import Path

        found = Path(kept.path).read_text()
        print(f"read {found}")  # noqa: T201 - the test looks for it in the log
        if found != text:
            raise SystemExit(f"read {found!r}, not {text!r}")

    first, second = _step(write), _step(read)

    def pipeline(text: str) -> None:
        kept = first(text=text).outputs["kept"]
        if reading:
            second(text=text, kept=kept)

    return dsl.pipeline(pipeline, name="keeping")


def accelerated() -> Any:
    """Return a pipeline whose step asks for a GPU."""

    def idle() -> None:
        pass

    step = _step(idle)

    def pipeline() -> None:
        step().set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)

    return dsl.pipeline(pipeline, name="accelerated")
