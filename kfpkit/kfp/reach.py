"""Reaching what an installation serves, without waiting for what is not there."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kfpkit.core.errors import KitError
from kfpkit.kfp import object_store
from kfpkit.kube import forward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import S3Store

    from kfpkit.kfp.target import Target

#: Seconds for an answer of the object store.
TIMEOUT = 15


@contextmanager
def service(target: Target, which: forward.Service) -> Iterator[str]:
    """Forward to a Service as `forward.opened` does; fail at once where no pod is behind it.

    Raises:
        KitError: No pod behind it is ready, or it cannot be reached.
    """
    _require_pod(target, which)
    with forward.opened(target, which) as address:
        yield address


@contextmanager
def store(target: Target) -> Iterator[S3Store]:
    """Open the bucket for the length of a `with` block; fail at once where no pod is behind it.

    Raises:
        KitError: There are no credentials, no pod is ready, or the Service cannot be reached.
    """
    within = object_store.place(target).service
    if within:
        _require_pod(target, within)
    with object_store.opened(target, seconds=TIMEOUT, retries=1) as found:
        yield found


def _require_pod(target: Target, which: forward.Service) -> None:
    argv = ["get", "endpointslices", f"--selector=kubernetes.io/service-name={which.name}"]
    found = json.loads(target.query(*argv, "--output=json").stdout)["items"]
    ends = [end for piece in found for end in piece.get("endpoints") or []]
    if not any(end.get("conditions", {}).get("ready") for end in ends):
        raise KitError(
            f"no ready pod is behind the Service {which.name}",
            target.line("describe", "service", which.name),
        )
