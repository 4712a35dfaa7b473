"""Containers of the images, started in a real Docker engine as the manifests start them."""

from __future__ import annotations

import functools
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.waiting import wait_for
from kfpkit.images import builder, cache

if TYPE_CHECKING:
    import contextlib

#: Seconds for a container to say what a test waits for.
PATIENCE = 60.0


@dataclass(frozen=True)
class Container:
    """A running container; its name is its host name on the test's network."""

    name: str

    def output(self) -> str:
        """Return all it has written so far."""
        said = process.query(["docker", "logs", self.name])
        return said.stdout + said.stderr

    def wait_for_output(self, text: str) -> str:
        """Wait until it has written `text`; return all it has written."""
        wait_for(
            f"{text!r} from {self.name}",
            lambda: None if text in self.output() else self.output()[-800:] or "nothing written",
            timeout=PATIENCE,
            interval=0.2,
        )
        return self.output()

    def run(self, *argv: str, check: bool = True, stdin: str | None = None) -> process.Result:
        """Run a program inside."""
        interactive = ["--interactive"] if stdin is not None else []
        return process.query(
            ["docker", "exec", *interactive, self.name, *argv], check=check, stdin=stdin
        )

    def kill(self) -> None:
        """End it at once, as a lost node does."""
        process.query(["docker", "kill", self.name])

    def start(self) -> None:
        """Start it again with what is in its volumes."""
        process.query(["docker", "start", self.name])

    def stop(self) -> int:
        """Ask it to stop, as Kubernetes does, and return its exit code."""
        process.query(["docker", "stop", "--time", "30", self.name])
        template = "{{.State.ExitCode}}"
        return int(process.query(["docker", "inspect", "-f", template, self.name]).stdout)


@dataclass(frozen=True)
class Engine:
    """Starts containers the way the manifests do: read-only, no capabilities."""

    network: str
    stack: contextlib.ExitStack

    def image(self, name: str) -> str:
        """Return the reference of an image of `images/`; skips the test if it is not built."""
        reference = _loaded(name)
        if reference is None:
            pytest.skip(f"{name} is not built: make images")
        return reference

    def start(self, image: str, *args: str, options: tuple[str, ...] = ()) -> Container:
        """Start an image in the background; it is removed after the test."""
        container = Container(f"kfpkit-test-{uuid.uuid4().hex[:8]}")
        argv = ["docker", "run", "--detach", "--name", container.name, "--network", self.network]
        argv += ["--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp"]  # noqa: S108 - inside
        process.query([*argv, *options, self.image(image), *args])
        remove = ["docker", "rm", "--force", "--volumes", container.name]
        self.stack.callback(process.query, remove, check=False)
        return container

    def once(self, image: str, *args: str, options: tuple[str, ...] = ()) -> process.Result:
        """Run an image to its end and return what it wrote; the exit code is the caller's."""
        argv = ["docker", "run", "--rm", "--read-only"]
        argv += [] if "--network" in options else ["--network", self.network]
        return process.query(
            [*argv, "--cap-drop", "ALL", *options, self.image(image), *args], check=False
        )


@functools.cache
def _loaded(name: str) -> str | None:
    """Return the reference of an image that is in the engine from now on, if it is built."""
    _, digests = builder.plan([name])
    entry = cache.find(name, digests[name])
    if entry is None:
        return None
    builder.load_into_engine(entry)
    return entry.references[0]
