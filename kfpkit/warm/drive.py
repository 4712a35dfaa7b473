"""One run of KFP's driver for one node: its command line, its end, its outputs and its log."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfpkit.core import process
from kfpkit.kfp.workflow import pod_name
from kfpkit.warm.webhook import TEXTS, as_data, filled, resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The installed release's own program.
DRIVER = Path("/driver/driver")

#: Seconds that a driver may take; one takes less than one.
LIMIT = 120.0

#: Bytes of a log that are kept, of its end.
LOG = 1024 * 1024

#: Characters of a failed driver's reason in its node's message.
REASON = 1000

#: Output that is a patch of the step's pod, in JSON.
PATCH = "pod-spec-patch"

#: An argument that 2.17.0's driver reads a file for.
_FILE = re.compile("@|--?component=@")

_MLMD = ("--mlmd_server_address", "--mlmd_server_port")

#: glog's first letter and the date of a line that ends a program, up to its text.
_LAST = re.compile(r"^F\d{4} .*?\] (.*)", re.MULTILINE)

#: What says that a part is away for now, and which part it is by what else the line names.
_AWAY = re.compile(
    r"code = (Unavailable|DeadlineExceeded|Aborted)|connection refused|i/o timeout|no such host"
    r"|connection reset|broken pipe|unexpected EOF|: EOF|context deadline exceeded"
    r"|TLS handshake timeout|no route to host|network is unreachable|server misbehaving"
    r"|(?i:mysql.*(gone away|lost connection|can't connect|shutdown in progress|errno: 20\d\d))"
    r"|(?i:driver: bad connection|invalid connection)"
    r"|currently unable to handle the request|etcdserver:|the server is shutting down"
    r"|too many requests|error code 50[234]|Service Unavailable"
)
_PARTS = (
    (re.compile(r"mlmd|metadata|MLMD|ML Metadata|PutExecution|GetContext|type_name"), "metadata"),
    (re.compile(r"cache|ml-pipeline|TaskService|ListTasks"), "the API server"),
    (re.compile(r"kubernetes|configmap|secret|persistentvolumeclaim"), "the Kubernetes API"),
    (re.compile(r"minio|bucket|object store|s3"), "the object store"),
)


@dataclass(frozen=True)
class Outcome:
    """How a driver ended.

    Attributes:
        outputs: Values of the node's output parameters; None where it failed.
        reason: Why it failed.
        away: The part that was away, where another try may succeed.
        log: The end of its output.
    """

    outputs: dict[str, str] | None = None
    reason: str = ""
    away: str = ""
    log: bytes = b""


@dataclass(frozen=True)
class Job:
    """A driver that is to run.

    Attributes:
        workflow: The Workflow, as it was when the node was seen.
        node: The node.
        command: What the webhook noted of the node's template.
    """

    workflow: Mapping[str, Any]
    node: Mapping[str, Any]
    command: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the Workflow."""
        return str(self.workflow["metadata"]["name"])

    @property
    def key(self) -> tuple[str, str]:
        """The Workflow's UID and the node's ID."""
        return str(self.workflow["metadata"]["uid"]), str(self.node["id"])

    @property
    def pod(self) -> str:
        """The name that the driver's pod would have."""
        return pod_name(self.node)


def run(job: Job, port: int, hindrance: Callable[[], str]) -> Outcome:
    """Run the driver for a node.

    Args:
        job: The node.
        port: Where on this machine the metadata server is reached.
        hindrance: Asked while it runs for what keeps it from ending well; if there is something,
            the driver is ended and may be tried again.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, "outputs", name) for name in job.command["outputs"]}
        line, given = _command(job, paths, port)
        if any(_FILE.match(value) for name, value in pairwise(line) if name not in TEXTS):
            return Outcome(reason="an argument names a file, which is none of a run's business")
        if given[0]:
            line = _with_files(line, Path(folder))
        log = Path(folder, "main.log")
        env = {name: _variable(value, job) for name, value in job.command["env"].items()}
        try:
            with process.spawned(
                [str(DRIVER), *line], log=log, cwd=Path(folder), env=env
            ) as driver:
                why = _wait(driver, hindrance)
                if why:
                    driver.kill()
        except OSError as error:
            reason = f"the driver cannot be started: {error.strerror}"
            # An argument above 128 KiB stays too long; memory or room may be there later.
            return Outcome(reason=reason, away="" if error.errno == errno.E2BIG else "this pod")
        text = log.read_bytes()[-LOG:]
        if why:
            return Outcome(reason=why, away=why.partition(":")[0], log=text)
        if driver.returncode != 0:
            return failed(text.decode(errors="replace"), driver.returncode)
        return Outcome(_outputs(job, paths, given), log=text)


def _wait(driver: subprocess.Popen[str], hindrance: Callable[[], str]) -> str:
    """Wait for a driver's end; return why it should not be waited for."""
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        try:
            driver.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            if why := hindrance():
                return why
        else:
            return ""
    return f"the driver: it has not ended after {LIMIT:.0f} s"


def failed(log: str, code: int) -> Outcome:
    """Return what a driver's log says of its failure: the reason, and whether a part was away."""
    found = _LAST.findall(log)
    lines = log.strip().splitlines()
    reason = found[-1] if found else lines[-1] if lines else f"exit code {code}, without a word"
    away = ""
    if _AWAY.search(reason) or code < 0:
        away = next((part for words, part in _PARTS if words.search(reason)), "a part of KFP")
    return Outcome(reason=reason[:REASON], away=away, log=log.encode())


def _command(job: Job, paths: Mapping[str, Path], port: int) -> tuple[list[str], list[str]]:
    """Return the arguments, and those of the metadata server that the template has itself."""
    meta = job.workflow["metadata"]
    of_run = job.workflow["spec"].get("arguments", {}).get("parameters", [])
    arguments = {a["name"]: a.get("value", "") for a in of_run}
    inputs = {
        parameter["name"]: resolved(str(parameter.get("value", "")), arguments)
        for parameter in job.node.get("inputs", {}).get("parameters", [])
    }

    def lookup(name: str) -> str:
        if name.startswith("inputs."):
            return inputs.get(name.removeprefix("inputs.parameters."), "")
        if name.startswith("outputs."):
            return str(paths[name.removeprefix("outputs.parameters.").removesuffix(".path")])
        kind, _, key = name.removeprefix("workflow.").partition(".")
        if kind == "parameters":
            return str(arguments.get(key, f"{{{{{name}}}}}"))
        value = meta.get(kind, "")
        return str(value.get(key, "") if key else value)

    line = filled(job.command["args"], lookup)
    given = [next((v for n, v in pairwise(line) if n == o), "") for o in _MLMD]
    return [*line, _MLMD[0], "127.0.0.1", _MLMD[1], str(port)], given


def _with_files(line: list[str], folder: Path) -> list[str]:
    """Return a command line of 2.17.0, which takes a `--component` that is too long in a file."""
    line = [*line]
    for place, name in enumerate(line[:-1]):
        text = line[place + 1].encode()
        if name == "--component" and len(text) >= process.LARGEST_ARGUMENT:
            path = folder / "component.json"
            path.write_bytes(text)
            line[place + 1] = f"@{path}"
    return line


def _variable(value: str, job: Job) -> str:
    fields = {
        "$(metadata.name)": job.pod,
        "$(metadata.uid)": job.key[0],
        "$(metadata.namespace)": str(job.workflow["metadata"]["namespace"]),
    }
    return fields.get(value, value)


def _outputs(job: Job, paths: Mapping[str, Path], given: list[str]) -> dict[str, str]:
    """Return what the driver wrote, or the template's default where it wrote nothing."""
    values = {}
    for name, default in job.command["outputs"].items():
        path = paths[name]
        values[name] = path.read_text(encoding="utf-8") if path.exists() else (default or "")
    if values.get(PATCH):
        values[PATCH] = as_data(_with_server(values[PATCH], given))
    return values


def _with_server(patch: str, given: list[str]) -> str:
    """Return the pod's patch with the metadata server of the template, where it has this one."""
    pod = json.loads(patch)
    changed = False
    for container in pod.get("containers", []):
        for line in (container.get("command") or [], container.get("args") or []):
            for place in range(line.index("--") if "--" in line else len(line) - 1):
                if line[place] == _MLMD[0] and line[place + 1] == "127.0.0.1":
                    line[place + 1], changed = given[0], True
                if line[place] == _MLMD[1] and changed:
                    line[place + 1] = given[1]
    return json.dumps(pod) if changed else patch


def prepared() -> bool:
    """Whether the driver is there."""
    return os.access(DRIVER, os.X_OK)
