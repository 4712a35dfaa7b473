"""What the options on an installation lead to. Every command that acts on one asks here."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from kfpkit.cluster import config, lifecycle
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import target as targets
from kfpkit.runs import place

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from kfpkit.cli.options import Where
    from kfpkit.cluster.config import KindCluster
    from kfpkit.kfp.target import Target
    from kfpkit.runs.place import Place


def choose(where: Where, *, reads: bool = False) -> Target:
    """Return the installation that the options name.

    Args:
        where: The options.
        reads: Whether the command reads the cluster in a dry run too.

    Raises:
        BadInputError: They name none, or a dry run has nothing to read with.
    """
    target = targets.choose(
        where.target, context=where.context, overlay=where.overlay, kind=kind(where.kind_config)
    )
    if reads and process.dry_run() and not shutil.which(target.kubectl):
        raise BadInputError(
            "this reads the cluster, in a dry run too, and there is no kubectl for it",
            "Put kubectl on PATH; a dry run downloads none",
        )
    return target


def find(where: Where, host: str) -> AbstractContextManager[Place]:
    """Return the installation with a way to its API, for the length of a `with` block."""
    return place.find(choose(where), host)


def kind(file: Path | None) -> KindCluster:
    """Return the kind cluster of a configuration; default the checkout's.

    Raises:
        BadInputError: It cannot be read.
    """
    return config.load(file.resolve() if file else None)


def bring_up(cluster: KindCluster, *, nodes: int, images: str, mirror: str, yes: bool) -> None:
    """Bring a kind cluster up, its images from a source that is found out where none is named."""
    asked = console.consent(yes=yes)
    lifecycle.up(cluster, nodes=nodes, source=images, mirror=mirror, confirm=asked)
