"""A support bundle: what there is to see of an installation, without its secrets, in one file."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import tarfile
import time
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.core.versions import versions
from kfpkit.doctor import checks
from kfpkit.doctor.redact import Redactor
from kfpkit.kfp.workflow import nodes
from kfpkit.kube import health

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kfpkit.doctor.check import Report
    from kfpkit.kfp.target import Target

#: The most that is kept of one container's log, from its end: lines, and characters.
LOG_LINES, LOG_LENGTH = 20_000, 4_000_000

#: Characters before those, in which a secret may begin: read with them and then dropped.
LOG_BEFORE = 100_000

#: Seconds for what doctor looks at, for one command of kubectl, and for all of the bundle.
DOCTOR, COMMAND, LIMIT = 60.0, 30.0, 180.0

#: After it there are no reports: a bundle is made without the canary.
_LAST_CHECK = [check.name for check in checks.CHECKS if check.name != checks.CANARY][-1]

#: Commands of kubectl at the same time, and answers that wait to be redacted.
WORKERS, WAITING = 3, 6

#: Pods and Workflows of runs, the newest of them.
RUNS = 25

#: Resources of the cluster that say something of the namespace, by their kinds.
_CLUSTER = {
    ("v1", "Node"): "nodes",
    ("v1", "PersistentVolume"): "persistentvolumes",
    ("storage.k8s.io/v1", "StorageClass"): "storageclasses",
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"): (
        "mutatingwebhookconfigurations"
    ),
}

#: Resources of the namespace that are looked at first: what tells most should be there in any case.
_FIRST = (
    *("workflows.argoproj.io", "events", "deployments.apps", "statefulsets.apps", "jobs.batch"),
    *("persistentvolumeclaims", "services", "scheduledworkflows.kubeflow.org", "secrets"),
)

#: Resources that are asked for by one command: each start of kubectl takes the better part of a
#: second of a processor.
_TOGETHER = 10

#: The beginning of a log's line: `[pod/NAME/CONTAINER] `.
_PREFIX = re.compile(r"\[pod/[^/\]]+/([^/\]]+)\] ")

_README = """Support bundle of Kubeflow Pipelines, made by `make support-bundle`.

doctor.json      what `make doctor` says of each part
versions.json    of the kit, of Kubernetes, and the images of each pod
objects/         the objects of the namespace, a file for each kind; of Secrets only the keys
cluster/         nodes, volumes, storage classes, webhooks
logs/            POD/CONTAINER.log, and CONTAINER.previous.log of a container that was restarted
left-out.txt     what took too long or is too much, if anything

Of runs there are the {runs} newest; the nodes of a large Workflow, which Argo keeps compressed, are
unpacked. Every value of the namespace's Secrets, and what looks like a password, a token or a key,
is replaced by REDACTED.{short}
"""


def make(target: Target, to: Path, reports: Iterable[Report]) -> list[str]:
    """Write the bundle.

    Args:
        target: What is looked at.
        to: The file, ending in `.tar.gz`; readable by its owner alone.
        reports: What doctor says.

    Returns:
        Names of Secret values too short to be looked for, as `SECRET/KEY`.

    It takes about `LIMIT` seconds at the most: what had no time is named in the bundle.

    Raises:
        BadInputError: There is such a file.
        KitError: The cluster does not answer, or a secret would be in the bundle; then there is no
            file.
    """
    if to.exists():
        raise BadInputError(f"{to} is there already", "Name another with OUTPUT=")
    if not to.parent.is_dir():
        raise BadInputError(
            f"there is no folder {to.parent}", "Make it, or name another with OUTPUT="
        )
    began = time.monotonic()
    redactor = Redactor(target.items(["secrets"]))
    short = ""
    if redactor.too_short:
        names = ", ".join(redactor.too_short)
        short = f"\nToo short to be looked for outside their Secrets: {names}."
    left: dict[str, str] = {}
    examined = []
    for report in reports:
        examined.append(report.as_json())
        if time.monotonic() > began + DOCTOR and report.name != _LAST_CHECK:
            left["doctor.json"] = f"the checks after {report.name}: {DOCTOR:.0f} s had passed"
            break
    files = {
        "README.txt": redactor.text(_README.format(runs=RUNS, short=short)),
        "doctor.json": _json(examined, redactor),
    }
    for name, text in _files(target, redactor, began + LIMIT, left):
        # A Secret may hold a word that is the name of something.
        files[redactor.text(name)] = text
        console.say(f"{time.monotonic() - began:4.0f} s  {redactor.text(name)}")
    if left:
        rows = "".join(f"{name}: {why}\n" for name, why in left.items())
        files["left-out.txt"] = redactor.text(rows)
        console.warn(f"not all is in the bundle: left-out.txt in it names {len(left)} things")
    leaking = [name for name, text in files.items() if redactor.leaks(f"{name}\n{text}")]
    if leaking:
        raise KitError(
            f"a secret would be in {', '.join(leaking)}: no bundle was written",
            "Report it with the name of the file, not its content",
        )
    _write(to, files)
    return redactor.too_short


def _files(
    target: Target, redactor: Redactor, deadline: float, left: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield path and content of each file that comes from the cluster.

    Args:
        target: What is looked at.
        redactor: Takes the secrets out.
        deadline: When nothing more is asked, on the clock of `time.monotonic`.
        left: Takes what is left out, by its path, and why.
    """
    base = [target.kubectl, "--context", target.context]
    server = process.query([*base, "version", "--output=json"], timeout=COMMAND)
    listed = process.query(target.argv("get", "pods", "--output=json"), timeout=COMMAND)
    pods = _newest(json.loads(listed.stdout)["items"])
    images = {
        pod["metadata"]["name"]: sorted(
            {status["image"]: status["imageID"] for status in health.statuses(pod)}.items()
        )
        for pod in pods
    }
    about = {"kit": versions(), "kubernetes": json.loads(server.stdout), "images": images}
    yield "versions.json", _json(about, redactor)
    resources = _resources(target)
    for ask, said in _answers(_asks(target, pods, resources), deadline):
        if said is None or time.monotonic() > deadline:
            left[ask.name] = f"not looked at: {LIMIT:.0f} s had passed"
        elif said.returncode == -signal.SIGKILL:
            left[ask.name] = f"kubectl did not answer within {COMMAND:.0f} s"
        elif ask.objects:
            if not said.ok:  # Not every account may read every kind; there are the others.
                left[ask.name] = said.stderr.strip()
            items = json.loads(said.stdout or '{"items": []}')["items"]
            yield from _objects(items, _CLUSTER | resources, redactor, deadline, left)
        else:
            text = said.stdout if said.ok else said.stderr
            for name, part in _parts(ask, text).items():
                if len(part) > LOG_LENGTH:
                    left[name] = f"all but its last {LOG_LENGTH:,} characters"
                yield name, _end(part, redactor)


@dataclass(frozen=True)
class _Ask:
    """A command of kubectl: what it gives becomes one file, or several."""

    #: A path in the bundle, of a file or of the folder of several, or paths.
    name: str
    argv: list[str]
    #: Whether it gives objects; otherwise text.
    objects: bool = False


def _asks(
    target: Target, pods: list[dict[str, Any]], resources: dict[tuple[str, str], str]
) -> Iterator[_Ask]:
    """Yield what is asked, first what tells most."""

    def get(folder: str, names: list[str]) -> _Ask:
        argv = target.argv("get", ",".join(names), "--output=json")
        return _Ask(", ".join(f"{folder}/{name}" for name in names), argv, objects=True)

    first = [name for name in _FIRST if name in resources.values()]
    others = sorted({*resources.values()} - {*first, "pods"})
    yield get("objects", ["pods", *first])
    yield get("cluster", [*_CLUSTER.values()])
    describe = [target.kubectl, "--context", target.context, "describe", "nodes"]
    yield _Ask("cluster/nodes.txt", describe)
    for at in range(0, len(others), _TOGETHER):
        yield get("objects", others[at : at + _TOGETHER])
    for pod in pods:
        name = pod["metadata"]["name"]
        argv = target.argv("logs", name, "--timestamps", f"--tail={LOG_LINES}")
        if any(s.get("state", {}).keys() & {"running", "terminated"} for s in health.statuses(pod)):
            every = ["--all-containers", "--ignore-errors", "--prefix"]
            yield _Ask(f"logs/{name}", [*argv, *every])
        for status in health.statuses(pod):
            if status["restartCount"]:
                path = f"logs/{name}/{status['name']}.previous.log"
                yield _Ask(path, [*argv, f"--container={status['name']}", "--previous"])


def _parts(ask: _Ask, text: str) -> dict[str, str]:
    """Return the files of a text: of the logs of a pod one for each container."""
    if not ask.name.startswith("logs/") or ask.name.endswith(".log"):
        return {ask.name: text}
    rows: dict[str, list[str]] = {}
    for row in io.StringIO(text):  # Lines end with a line feed alone.
        said_by = _PREFIX.match(row)
        name = f"{ask.name}/{said_by[1]}.log" if said_by else f"{ask.name}/errors.log"
        rows.setdefault(name, []).append(row[said_by.end() :] if said_by else row)
    return {name: "".join(some) for name, some in rows.items()}


def _objects(
    items: list[dict[str, Any]],
    resources: dict[tuple[str, str], str],
    redactor: Redactor,
    deadline: float,
    left: dict[str, str],
) -> Iterator[tuple[str, str]]:
    """Yield a file for each kind of the objects."""
    by: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        resource = resources.get((item["apiVersion"], item["kind"]), item["kind"].lower())
        folder = "cluster" if resource in _CLUSTER.values() else "objects"
        by.setdefault(f"{folder}/{resource}.yaml", []).append(item)
    for name, some in by.items():
        documents: list[str] = []
        for item in (shown := _newest(some)):
            if time.monotonic() > deadline:
                left[name] = f"the last {len(shown) - len(documents)} of {len(shown)}"
                break
            documents.append(_yaml(_unpacked(item), redactor))
        yield name, "---\n".join(documents)


def _answers(asks: Iterable[_Ask], deadline: float) -> Iterator[tuple[_Ask, process.Result | None]]:
    """Yield what each command said, in their order; nothing of one that had no time to begin."""

    def query(argv: list[str]) -> process.Result | None:
        seconds = min(COMMAND, deadline - time.monotonic())
        return process.query(argv, check=False, timeout=seconds) if seconds > 0 else None

    waiting: deque[tuple[_Ask, Future[process.Result | None]]] = deque()
    with ThreadPoolExecutor(WORKERS) as pool:
        for ask in asks:
            if len(waiting) == WAITING:
                first, future = waiting.popleft()
                yield first, future.result()
            waiting.append((ask, pool.submit(query, ask.argv)))
        for first, future in waiting:
            yield first, future.result()


def _end(text: str, redactor: Redactor) -> str:
    """Return the end of a text without secrets, as much of it as is kept, from a line's start."""
    if len(text) <= LOG_LENGTH:
        return redactor.text(text)
    return redactor.text(text[-LOG_LENGTH - LOG_BEFORE :])[LOG_BEFORE:].partition("\n")[2]


def _unpacked(item: dict[str, Any]) -> dict[str, Any]:
    """Return an object with the nodes that Argo keeps compressed, which only so can be redacted."""
    status = item.get("status") or {}
    if "compressedNodes" not in status:
        return item
    try:
        found: dict[str, Any] = nodes(status)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        found = {"cannot be read": str(error)}
    rest = {key: value for key, value in status.items() if key != "compressedNodes"}
    return {**item, "status": {**rest, "nodes": found}}


def _resources(target: Target) -> dict[tuple[str, str], str]:
    """Return what a namespace may hold and the account may list, by version and kind."""
    argv = ["api-resources", "--namespaced", "--verbs=list", "--no-headers"]
    base = [target.kubectl, "--context", target.context]
    listed = process.query([*base, *argv], check=False, timeout=COMMAND)
    found = {}
    for row in listed.stdout.splitlines():
        name, *_, version, _, kind = row.split()  # There may be short names, too.
        group = version.rpartition("/")[0]
        # Old events are the same objects under another name, and metrics are no objects.
        if group not in ("events.k8s.io", "metrics.k8s.io"):
            found[version, kind] = f"{name}.{group}" if group else name
    return found


def _newest(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all objects that are of no run, and the newest of those that are."""
    of_runs: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for item in items:
        labels = item["metadata"].get("labels", {})
        (of_runs if health.RUN in labels or health.WORKFLOW in labels else others).append(item)
    of_runs.sort(key=lambda item: item["metadata"]["creationTimestamp"], reverse=True)
    return others + of_runs[:RUNS]


def _yaml(item: dict[str, Any], redactor: Redactor) -> str:
    # The C library's emitter is ten times as fast as Python's.
    text: str = yaml.dump(
        redactor.object(item),
        Dumper=yaml.CSafeDumper,
        sort_keys=False,
        allow_unicode=True,
        width=10**9,
    )
    return text


def _json(value: Any, redactor: Redactor) -> str:
    return json.dumps(redactor.object(value), indent=2, ensure_ascii=False) + "\n"


def _write(to: Path, files: dict[str, str]) -> None:
    folder = f"kfp-support-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    part = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with (
            os.fdopen(descriptor, "wb") as raw,
            tarfile.open(fileobj=raw, mode="w:gz") as archive,
        ):
            for name, text in files.items():
                data = text.encode(errors="replace")
                entry = tarfile.TarInfo(f"{folder}/{name}")
                entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
                archive.addfile(entry, io.BytesIO(data))
        part.rename(to)
    finally:
        part.unlink(missing_ok=True)
