"""What the options on an installation lead to. Every command that acts on one asks here."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from kfpkit.cli.options import KIND
from kfpkit.cluster import config as cluster
from kfpkit.cluster import lifecycle
from kfpkit.core import process
from kfpkit.core.errors import BadInputError
from kfpkit.images import source as sources
from kfpkit.kfp import target as targets
from kfpkit.runs import place

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import ModuleType

    from kfpkit.cli.options import Where
    from kfpkit.images.source import Source
    from kfpkit.kfp.target import Target
    from kfpkit.runs.place import Place


def choose(where: Where, *, reads: bool = False) -> Target:
    """Return the installation that the options name.

    Args:
        where: The options.
        reads: Whether the command reads the cluster in a dry run too.

    Raises:
        BadInputError: They name none or contradict each other, or a dry run cannot read.
    """
    kind(where.kind_config)
    name = _name(where)
    target = targets.choose("" if name == KIND and not where.overlay else name, where.context)
    if reads and process.dry_run() and not shutil.which(target.kubectl):
        raise BadInputError(
            "this reads the cluster, in a dry run too, and there is no kubectl for it",
            "Put kubectl on PATH; a dry run downloads none",
        )
    return target


def find(where: Where, host: str) -> AbstractContextManager[Place]:
    """Return the installation with a way to its API, for the length of a `with` block."""
    kind(where.kind_config)
    return place.find(_name(where), where.context, host)


def _name(where: Where) -> str:
    if where.overlay and where.target != KIND:
        raise BadInputError("TARGET and OVERLAY name two installations", "Give one of them")
    return where.overlay or where.target


def kind(config: Path | None) -> ModuleType:
    """Return the kind cluster of a configuration.

    Raises:
        BadInputError: It is another one than the one that is read at the start.
    """
    if config and config.resolve() != cluster.CONFIG.resolve():
        raise BadInputError(f"KIND_CONFIG={config} is not read here", "Set KFPKIT_KIND_CONFIG")
    return cluster


def bring_up(config: Path | None, *, nodes: int, images: str, mirror: str) -> None:
    """Bring a kind cluster up, its images from a source that is found out where none is named."""
    kind(config)
    source(images, mirror)
    lifecycle.up(nodes=nodes)


def source(images: str, mirror: str) -> tuple[Source, str]:
    """Return the source of images, and why it was chosen."""
    os.environ |= {"IMAGES": images, "MIRROR": mirror}
    return sources.choose(images)
