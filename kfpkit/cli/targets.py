"""What the options on an installation lead to. Every command that acts on one asks here."""

from __future__ import annotations

import shutil
from importlib import import_module
from typing import TYPE_CHECKING

from kfpkit.cluster import config, lifecycle
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import target as targets
from kfpkit.kfp import targets_file

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from kfpkit.cli.options import Where
    from kfpkit.cluster.config import KindCluster
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


def find(where: Where, host: str) -> AbstractContextManager[Place]:
    """Return the installation with a way to its API, for the length of a `with` block."""
    # Not before: a refusal does without what this imports.
    found: AbstractContextManager[Place] = import_module("kfpkit.runs.place").find(
        choose(where), host
    )
    return found


def bring_up(kind: KindCluster, *, nodes: int, images: str, mirror: str, yes: bool) -> None:
    """Bring a kind cluster up, its images from a source that is found out where none is named."""
    lifecycle.up(kind, nodes=nodes, source=images, mirror=mirror, confirm=console.consent(yes=yes))
