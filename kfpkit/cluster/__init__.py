"""The kind cluster: preflight, creation, status, removal."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from kfpkit.errors import BadInputError
from kfpkit.versions import ROOT


def _name(config: Path) -> str:
    """Return the cluster's name in kind's configuration.

    Raises:
        BadInputError: The file cannot be read, or names none.
    """
    try:
        found = yaml.safe_load(config.read_text(encoding="utf-8"))
        return str(found["name"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise BadInputError(
            f"KIND_CONFIG={config} is no configuration of kind with a name: {error!r}",
            "Copy kind-config.yaml, and give the copy a name and ports of its own",
        ) from None


#: kind's configuration of the cluster that every command is about.
CONFIG = Path(os.environ.get("KIND_CONFIG") or ROOT / "kind-config.yaml")

#: Its name, and the context that kind makes for it.
NAME = _name(CONFIG)
CONTEXT = f"kind-{NAME}"
