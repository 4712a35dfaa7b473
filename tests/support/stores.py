"""An object store in a container, and the component push in its own image beside it."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.containers import Engine

BUCKET = "kept-models"

#: The program in the image, with a model of so many bytes made for it. Prints the objects.
PUSH = """
import json, sys
from pathlib import Path
from components.errors import ComponentError
from components.push import logic

given = json.loads(sys.argv[1])
model, card, uri = (Path("/tmp") / name for name in ("model", "card", "uri"))
with model.open("wb") as file:
    file.write(given["content"].encode())
    file.truncate(given["size"])
card.write_text("# Card")
try:
    for _ in range(given["times"]):
        logic.push(model, card, 1.0, given["to"], "m", 0.9, "1-2-3", given["endpoint"], uri)
except ComponentError as error:
    sys.exit(f"error: {error}")
store = logic._store(given["to"], given["endpoint"])
objects = {entry["path"]: entry["size"] for entry in store.list().collect()}
pointer = json.loads(bytes(store.get("m/latest.json").bytes()))
print(json.dumps({"uri": uri.read_text(), "objects": objects, "latest": pointer}))
"""


@dataclass(frozen=True)
class Store:
    """A store that runs.

    Attributes:
        docker: The engine.
        to: Where to push.
        endpoint: Its address on the engine's network.
        environment: Variables with the credentials.
    """

    docker: Engine
    to: str
    endpoint: str
    environment: dict[str, str]

    def push(self, content: str, size: int = 100, times: int = 1, **changes: str) -> Any:
        """Push a model; return what was printed, or the error's text."""
        given = {"content": content, "size": size, "times": times}
        given |= {"to": self.to, "endpoint": self.endpoint}
        options = ["--entrypoint", "python3", "--memory", "400m", "--volume", "/tmp"]  # noqa: S108
        for name, value in (self.environment | changes).items():
            options += ["--env", f"{name}={value}"]
        done = self.docker.once(
            "python-runtime", "-c", PUSH, json.dumps(given), options=tuple(options)
        )
        return json.loads(done.stdout.splitlines()[-1]) if done.ok else done.stderr


def s3(docker: Engine, folder: str) -> Store:
    """Start versitygw with a bucket in `folder`."""
    keys = {"ROOT_ACCESS_KEY": secrets.token_hex(8), "ROOT_SECRET_KEY": secrets.token_hex(16)}
    options = ["--volume", f"{folder}:/data"]
    for name, value in keys.items():
        options += ["--env", f"{name}={value}"]
    server = docker.start("versitygw", "--port=:9000", "posix", "/data", options=tuple(options))
    server.wait_for_output("9000")
    key, secret = keys.values()
    environment = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    return Store(docker, f"s3://{BUCKET}/a/b", f"http://{server.name}:9000", environment)
