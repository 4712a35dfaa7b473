"""The kind cluster: preflight, creation, status, removal."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from kfpkit.core.errors import BadInputError
from kfpkit.core.versions import ROOT


def _read(config: Path) -> tuple[str, dict[int, int]]:
    """Return the cluster's name, and this machine's port by the port of the node behind it.

    Raises:
        BadInputError: The file cannot be read, or names none.
    """
    try:
        found = yaml.safe_load(config.read_text(encoding="utf-8"))
        mappings = [m for node in found["nodes"] for m in node.get("extraPortMappings", [])]
        return str(found["name"]), {m["containerPort"]: m["hostPort"] for m in mappings}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise BadInputError(
            f"KIND_CONFIG={config} is no configuration of kind with a name and nodes: {error!r}",
            "Copy kind-config.yaml, and give the copy a name and ports of its own",
        ) from None


#: kind's configuration of the cluster that every command is about.
CONFIG = Path(os.environ.get("KFPKIT_KIND_CONFIG") or ROOT / "kind-config.yaml")

#: Its name, and the context that kind makes for it.
NAME, _PORTS = _read(CONFIG)
CONTEXT = f"kind-{NAME}"

#: Where the node ports of the options api-nodeport and ui-nodeport are on this machine.
API = f"http://localhost:{_PORTS.get(30888, 8888)}"
UI = f"http://localhost:{_PORTS.get(30080, 8080)}"
