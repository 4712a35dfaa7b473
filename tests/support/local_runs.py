"""Pipelines with containers, and running them on this machine."""

# No postponed annotations here: kfp reads them at run time.
# mypy: disable-error-code="untyped-decorator"
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp import dsl

from components.image import RUNTIME_IMAGE
from kfpkit.kfp.run import Run
from kfpkit.runs import parameters
from kfpkit.runs.local import run as local
from kfpkit.runs.progress import Progress


@dsl.container_component
def shout() -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="kfpkit/no-such-image:0", command=["true"])


@dsl.pipeline(name="shouting")
def shouting() -> None:
    shout()


@dsl.container_component
def write(
    text: str,
    n: int,
    table: dsl.Output[dsl.Dataset],
    count: dsl.OutputPath(int),  # type: ignore[valid-type]
    more: str = "",
) -> dsl.ContainerSpec:
    script = 'echo "got $1"; echo "$0" > "$3"; echo "${1#<}" | tr -d ">" > "$4"; printf part >&2'
    return dsl.ContainerSpec(
        image=RUNTIME_IMAGE,
        command=["sh", "-c", f'{script}; [ "$1" != "<7>" ] || exit 7'],
        args=[
            text,
            dsl.ConcatPlaceholder(["<", n, ">"]),
            dsl.IfPresentPlaceholder("more", then=["more", more], else_=["none"]),
            table.path,
            count,
        ],
    )


@dsl.pipeline(name="containing")
def containing() -> None:
    write(text="a b", n=3)
    write(text="a b", n=7)


def go(component: Any, tmp_path: Path, *arguments: str) -> Run:
    spec = json_format.MessageToDict(component.pipeline_spec)
    given = parameters.parse(spec, list(arguments))
    in_containers = local.needs_containers(spec)
    with Progress() as progress:
        return local.run(spec, given, tmp_path, progress, in_containers=in_containers)
