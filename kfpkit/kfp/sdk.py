"""kfp's SDK without its client.

`import kfp` takes some three seconds, most of them for the Kubernetes and Google libraries of
`kfp.Client`. Pipelines, compiling and local runs need none of it, and the kit talks to the API by
`kfpkit.kfp.api`.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

#: By this variable kfp knows, while it is imported, that it is inside a task, and imports only what
#: a task needs.
_INSIDE = "_KFP_RUNTIME"


def load() -> None:
    """Import kfp with all of it but the client, which is imported once somebody asks for it."""
    if "kfp" in sys.modules:
        return
    before = os.environ.get(_INSIDE)
    os.environ[_INSIDE] = "true"
    try:
        kfp = importlib.import_module("kfp")
    finally:
        del os.environ[_INSIDE]
        if before is not None:
            os.environ[_INSIDE] = before
    for name in ("dsl", "components"):
        importlib.import_module(f"kfp.{name}")
    kfp.__dict__["__getattr__"] = _late


def _late(name: str) -> Any:
    if name == "Client":
        return importlib.import_module("kfp.client").Client
    raise AttributeError(f"module 'kfp' has no attribute {name!r}", name=name)
