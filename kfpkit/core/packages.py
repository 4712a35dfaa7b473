"""The kit's packages beside `kfpkit` itself, whose names are good for a user's own, too."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

#: The folder that the kit's packages are in: the top of the checkout, or where it is installed.
HOME = Path(__file__).resolve().parents[2]

#: Their names.
OWN = ("components", "pipelines")


def import_own() -> None:
    """Import them from where the kit is, whatever of the same name comes first on PYTHONPATH.

    The image that the kit runs in on a cluster has none of them.
    """
    for name in OWN:
        spec = PathFinder.find_spec(name, [str(HOME)])
        if spec and spec.loader and name not in sys.modules:
            sys.modules[name] = module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
