"""What the options on an installation lead to. Every command that acts on one asks here."""

from __future__ import annotations

import shutil
from importlib import import_module
from json import loads
from typing import TYPE_CHECKING

from kfpkit.cluster import config, lifecycle
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import releases, targets_file
from kfpkit.kfp import target as targets
from kfpkit.runs import place

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from kfpkit.cli.options import Where
    from kfpkit.cluster.config import KindCluster
    from kfpkit.kfp.pipelines import Pipeline
    from kfpkit.kfp.target import Target
    from kfpkit.kfp.targets_file import Vertex
    from kfpkit.runs.place import Place


def choose(where: Where, *, reads: bool = False) -> Target:
    """Return the installation that the options name.

    Args:
        where: The options.
        reads: Whether the command reads the cluster in a dry run too.

    Raises:
        BadInputError: They name none or contradict each other, or a dry run cannot read.
    """
    kind = config.load(where.kind_config)
    target = targets.choose(
        where.target,
        context=where.context,
        overlay=where.overlay,
        kind=kind,
        file=where.targets,
    )
    if reads and process.dry_run() and not shutil.which(target.kubectl):
        raise BadInputError(
            "this reads the cluster, in a dry run too, and there is no kubectl for it",
            "Put kubectl on PATH; a dry run downloads none",
        )
    return target


def vertex(where: Where, host: str = "") -> Vertex | None:
    """Return the target on Vertex AI that the options name; None where they name another.

    Raises:
        BadInputError: They name one, and something of a cluster; or the targets file is wrong.
    """
    found = targets_file.vertex(where.target, where.targets)
    if found and (named := where.context or where.overlay or host):
        raise BadInputError(
            f"the target {found.name} is on Vertex AI, and {named} is of a cluster",
            "Leave it out, or name another target",
        )
    return found


def linted(target: Target) -> str:
    """Return the name by which the linter knows an installation."""
    return _around(target)[0]


def _around(target: Target) -> tuple[str, ...]:
    # Not before: the kit's own image has none of what the linter imports.
    rule = import_module("kfpkit.lint.rule")
    found: tuple[str, ...] = rule.around(releases.release(target.documents))
    return found


def machines(target: Target) -> list[dict[str, str]]:
    """Return what each node of an installation has for pods; none where that cannot be read."""
    found = target.query("get", "nodes", "--output=json", check=False)
    nodes = loads(found.stdout)["items"] if found.ok and found.stdout else []
    return [node["status"].get("allocatable", {}) for node in nodes]


def admit(pipeline: Pipeline, target: Target) -> None:
    """Refuse a pipeline that would not run on an installation.

    Raises:
        BadInputError: It would not.
    """
    linting = import_module("kfpkit.cli.linting")
    linting.admit(pipeline, *_around(target), nodes=machines(target))


def find(where: Where, host: str) -> AbstractContextManager[Place]:
    """Return the installation with a way to its API, for the length of a `with` block."""
    return place.find(choose(where), host)


def bring_up(kind: KindCluster, *, nodes: int, images: str, mirror: str, yes: bool) -> None:
    """Bring a kind cluster up, its images from a source that is found out where none is named."""
    lifecycle.up(kind, nodes=nodes, source=images, mirror=mirror, confirm=console.consent(yes=yes))
