"""Cloud Storage's place: a fake-gcs-server, in the container that the kit builds."""

from __future__ import annotations

import secrets
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests

from kfpkit.core import process
from kfpkit.core.waiting import wait_for
from kfpkit.images import builder, recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = "fake-gcs-server"


@contextmanager
def opened(*buckets: str) -> Iterator[str]:
    """Start one with these buckets; give its address, for STORAGE_EMULATOR_HOST."""
    builder.ensure([IMAGE], load=[IMAGE])
    reference = recipe.load(recipe.IMAGES / IMAGE).references[0]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    name = f"kfpkit-test-{IMAGE}-{secrets.token_hex(4)}"
    argv = ["docker", "run", "--detach", "--name", name, "--publish", f"127.0.0.1:{port}:4443"]
    process.query([*argv, reference, "-backend=memory", "-scheme=http", f"-external-url={address}"])
    try:

        def probe() -> str | None:
            try:
                requests.get(f"{address}/storage/v1/b", timeout=5).raise_for_status()
            except requests.RequestException as error:
                return str(error)
            return None

        wait_for("fake-gcs-server", probe, timeout=60, interval=0.2)
        for bucket in buckets:
            make(address, bucket)
        yield address
    finally:
        process.query(["docker", "rm", "--force", name], check=False)


def make(address: str, bucket: str) -> None:
    """Make a bucket."""
    requests.post(f"{address}/storage/v1/b", json={"name": bucket}, timeout=10).raise_for_status()
