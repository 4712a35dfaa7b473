"""The kind cluster that a command is about: what kind's configuration of it says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import yaml

from kfpkit.core.errors import BadInputError
from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

#: kind's configuration of the cluster that a command is about where none is named.
DEFAULT = ROOT / "kind-config.yaml"


@dataclass(frozen=True)
class KindCluster:
    """A cluster of kind's on this machine, whether it is there or not.

    Attributes:
        config: kind's configuration.
        name: Its name.
        context: The context that kind makes for it.
        api: Address of the node port of the option api-nodeport on this machine.
        ui: The same of the option ui-nodeport.
    """

    config: Path
    name: str
    context: str
    api: str
    ui: str


@cache
def load(path: Path | None = None) -> KindCluster:
    """Return the cluster that a configuration of kind describes.

    Args:
        path: The file; default the checkout's.

    Raises:
        BadInputError: The file cannot be read, or it has no name or no nodes.
    """
    config = path or DEFAULT
    try:
        found = yaml.safe_load(config.read_text(encoding="utf-8"))
        name = str(found["name"])
        mappings = [m for node in found["nodes"] for m in node.get("extraPortMappings", [])]
        ports = {m["containerPort"]: m["hostPort"] for m in mappings}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split()) if isinstance(error, OSError) else repr(error)
        raise BadInputError(
            f"KIND_CONFIG={config} is no configuration of kind with a name and nodes: {why}",
            "Copy kind-config.yaml, and give the copy a name and ports of its own",
        ) from None
    return KindCluster(
        config,
        name,
        f"kind-{name}",
        f"http://localhost:{ports.get(30888, 8888)}",
        f"http://localhost:{ports.get(30080, 8080)}",
    )
