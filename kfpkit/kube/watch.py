"""An object of the cluster as it changes, told by one kubectl instead of one for each look."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from kfpkit.core import process

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from kfpkit.kube.kubectl import Kubectl

#: Seconds until a watch that has ended is begun again: the API server ends each after a while.
PAUSE = 2.0


class Watch:
    """What a watch has told last.

    Attributes:
        changed: Set at each change; whoever waits for it clears it.
    """

    def __init__(self) -> None:
        self.changed = threading.Event()
        self._event = ""

    @property
    def object(self) -> dict[str, Any] | None:
        """The object; None where it is not there, or nothing is told of it at this time."""
        event = self._event
        return json.loads(event)["object"] if event else None

    def follow(self, running: subprocess.Popen[str]) -> None:
        """Take what `kubectl get --raw` says of a path with `watch=true`, to its end."""
        assert running.stdout is not None  # noqa: S101 - spawned without a log has a pipe
        for line in running.stdout:
            # An event is a line. Others are of its troubles, and it ends with them.
            if line.startswith("{"):
                self._event = line if line.startswith(_THERE) else ""
                self.changed.set()
        self._event = ""


#: How an event begins that has the object as it is now.
_THERE = ('{"type":"ADDED"', '{"type":"MODIFIED"')


@contextmanager
def opened(target: Kubectl, path: str, selector: str) -> Iterator[Watch]:
    """Watch an object for the length of a `with` block.

    Args:
        target: Where it is.
        path: Of the API server, of all objects of its kind; `{}` stands for the namespace.
        selector: What selects it alone, by its labels.

    Yields:
        What is told of it. A first look has that made beside, so nothing may be told yet.
    """
    watch = Watch()
    # `kubectl get --watch` would read, sort and indent each event: of a graph of 20 tasks that
    # took a quarter of a processor.
    query = urlencode({"watch": "true", "labelSelector": selector})
    argv = target.argv("get", "--raw", f"{path.format(target.namespace)}?{query}")
    with process.repeated(argv, watch.follow, pause=PAUSE):
        yield watch
