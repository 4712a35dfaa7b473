"""The program of the pod `warm-driver`: `python3 -m kfpkit.warm`, configured by its environment."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from kfpkit.warm import drive, server, webhook
from kfpkit.warm.api import Api
from kfpkit.warm.board import Board, say
from kfpkit.warm.lease import EVERY, Lease
from kfpkit.warm.logs import Logs
from kfpkit.warm.nodes import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Seconds that drivers have to end when the pod is to end.
GRACE = 20.0

#: Where the certificate is.
TLS = Path("/tls")


class Program:
    """All that the pod does."""

    def __init__(self) -> None:
        self._namespace = os.environ["NAMESPACE"]
        self._image = os.environ["DRIVER_IMAGE"]
        self._api = Api(self._namespace)
        self._lease = Lease(self._api, os.environ["POD_NAME"])
        outage = float(os.environ.get("OUTAGE_SECONDS", "900"))
        self._board = Board(self._lease, Writer(self._api), Logs(self._api), outage)
        self._ending, self._over = threading.Event(), threading.Event()
        self._answered = 0.0
        self._reviewed = 0

    def run(self) -> None:
        """Serve, and drive while the lease is held, until a signal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._ending.set())
        server.serve(server.HEALTH, self._health)
        server.serve(server.WEBHOOK, self._webhook, TLS)
        threading.Thread(target=self._keep_lease, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()
        say(None, "ready")
        while not self._ending.wait(0.2):
            self._board.start_due()
        until = time.monotonic() + GRACE
        while not self._board.idle and time.monotonic() < until:
            self._over.wait(0.1)
        self._over.set()
        if self._board.idle:  # else it runs out after the last of them
            self._lease.release()

    def _keep_lease(self) -> None:
        while not self._over.is_set():
            try:
                self._lease.renew()
            except Exception as error:  # it is not held then, which healthz tells after a while
                say(None, f"the Lease cannot be renewed: {error!r}")
            self._over.wait(EVERY)

    def _watch(self) -> None:
        while not self._ending.wait(0.2):
            try:
                if self._lease.held:
                    self._follow()
                else:
                    self._board.keep_only(set())
                    self._answered = self._lease.answered
            except requests.RequestException as error:
                say(None, f"the Kubernetes API is away: {error}")
                self._ending.wait(1.0)
            except Exception as error:  # whatever it is, the next look may go well
                say(None, f"Workflows cannot be followed: {error!r}")
                self._ending.wait(1.0)

    def _follow(self) -> None:
        """Take up what is there, then follow the changes for a minute."""
        workflows, version = self._api.running()
        self._answered = time.monotonic()
        self._board.keep_only({w["metadata"]["uid"] for w in workflows})
        for workflow in workflows:
            self._see(workflow)
        for what, workflow in self._api.changes(version):
            if not self._lease.held or self._ending.is_set():
                return
            if what == "DELETED":
                self._board.forget(workflow["metadata"]["uid"])
            else:
                self._see(workflow)

    def _see(self, workflow: Mapping[str, Any]) -> None:
        try:
            self._board.see(workflow)
        except Exception as error:  # one that cannot be read must not keep the others waiting
            say(None, f"{workflow['metadata']['name']} cannot be read: {error!r}")

    def _webhook(self, path: str, body: bytes) -> tuple[int, bytes]:
        if path != "/mutate" or self._why_not():
            return (404 if path != "/mutate" else 503), b""
        try:
            answer = webhook.review(body, self._image, self._namespace)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            say(None, f"a Workflow is left as it is: {error!r}")
            return 400, b""
        self._reviewed += 1
        return 200, answer

    def _health(self, path: str, _body: bytes) -> tuple[int, bytes]:
        if path == "/metrics":
            numbers = {
                **self._board.numbers,
                "waiting": self._board.waiting,
                "leader": int(self._lease.held),
                "reviewed": self._reviewed,
            }
            lines = (f"kfpkit_warm_driver_{name} {value}\n" for name, value in numbers.items())
            return 200, "".join(lines).encode()
        why = self._why_not()
        return (503, why.encode()) if why else (200, b"ok")

    def _why_not(self) -> str:
        """Return why Workflows should keep their driver pods; empty where they need not."""
        if self._ending.is_set():
            return "this pod ends"
        if not drive.prepared():
            return f"there is no {drive.DRIVER}"
        if time.monotonic() - self._answered > 100:
            return "the Kubernetes API has not answered for 100 s"
        return ""


if __name__ == "__main__":
    Program().run()
