"""A port of this machine that leads to a Service of the cluster, for as long as it is wanted."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, KitError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from kfpkit.kube.kubectl import Kubectl

#: Seconds between two attempts to connect.
PAUSE = 1.0

#: Seconds between two looks whether the pod is still there.
KNOCK = 3.0

#: Seconds that a first connection may take.
OPENING = 60.0


@dataclass(frozen=True)
class Service:
    """A Service people connect to."""

    name: str
    #: Its port in the cluster.
    port: int
    #: For a person.
    title: str


UI = Service("ml-pipeline-ui", 80, "the web UI")
API = Service("ml-pipeline", 8888, "the API")
METADATA = Service("metadata-envoy-service", 9090, "the metadata bridge")


def keep(target: Kubectl, service: Service, port: int) -> None:
    """Forward until interrupted; connect again whenever the pod behind it goes away.

    Args:
        target: Where the Service is.
        service: What to reach.
        port: Port of this machine.

    Raises:
        KitError: The Service is not there, or the port is taken.
    """
    argv = target.argv("port-forward", f"service/{service.name}", f"{port}:{service.port}")
    console.say(f"$ {process.line(argv)}")
    if process.dry_run():
        return
    _require(target, service)
    _require_free(port)
    address = f"http://localhost:{port}"
    while True:
        # kubectl notices that a pod went away only when somebody connects.
        with process.spawned(argv) as running, _knocking(port):
            connected = _listen(
                running,
                lambda: console.out.print(
                    f"{service.title}: {address} (Ctrl-C ends it)", markup=False
                ),
            )
        if connected:
            console.say(f"the pod behind {service.name} went away: connecting again")
        _require(target, service)
        time.sleep(PAUSE)


@contextmanager
def opened(target: Kubectl, service: Service) -> Iterator[str]:
    """Forward for the length of a `with` block, connecting again as `keep` does.

    Inside the cluster nothing is forwarded: the Service itself is reached.

    Args:
        target: Where the Service is.
        service: What to reach.

    Yields:
        Host and port that lead there, as `localhost:41234`.

    Raises:
        KitError: The Service is not there, or kubectl does not connect.
    """
    _require(target, service)
    if target.inside:
        yield f"{service.name}:{service.port}"
        return
    port = _free_port()
    argv = target.argv("port-forward", f"service/{service.name}", f"{port}:{service.port}")
    console.say(f"$ {process.line(argv)}")
    ready = threading.Event()
    with process.repeated(argv, lambda one: _listen(one, ready.set), pause=PAUSE):
        if not ready.wait(OPENING):
            raise KitError(
                f"kubectl does not connect to {service.title} within {OPENING:.0f} s",
                f"Try it by hand: {process.line(argv)}",
            )
        yield f"localhost:{port}"


def _listen(running: subprocess.Popen[str], on_ready: Callable[[], object]) -> bool:
    """Follow what kubectl says until the connection is lost; return whether there was one."""
    assert running.stdout is not None  # noqa: S101 - spawned without a log has a pipe
    connected = False
    for raw in running.stdout:
        said = raw.strip()
        if said.startswith("Forwarding from 127.0.0.1"):
            connected = True
            on_ready()
        elif "error forwarding" in said or "lost connection" in said:
            break
    return connected


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def _knocking(port: int) -> Iterator[None]:
    """Connect to a port every few seconds for the length of a `with` block."""
    over = threading.Event()

    def knock() -> None:
        while not over.wait(KNOCK):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=KNOCK):
                pass

    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _require(target: Kubectl, service: Service) -> None:
    """Raise when the Service is known not to be there; an API that is away is no such answer."""
    argv = ("get", f"service/{service.name}", "--ignore-not-found", "--output=name")
    found = target.query(*argv, check=False)
    if found.ok and not found.stdout.strip():
        hint = (
            "This overlay has no web UI; `make api` reaches the API, for kfp.Client"
            if service is UI
            else "make install installs it"
        )
        raise KitError(
            f"there is no {service.title.removeprefix('the ')} on {target.context}", hint
        )


def _require_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BadInputError(
                f"port {port} of this machine cannot be used: {error.strerror}", "Add PORT=other"
            ) from None
