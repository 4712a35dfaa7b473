"""A support bundle: what there is to see of an installation, without its secrets, in one file."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml

from kfpkit import console, process
from kfpkit.doctor import explain
from kfpkit.doctor.redact import Redactor
from kfpkit.errors import BadInputError, CommandError, KitError
from kfpkit.install import health
from kfpkit.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kfpkit.doctor.check import Report
    from kfpkit.install.target import Target

#: The most that is kept of one container's log, from its end: lines, and bytes.
LOG_LINES, LOG_BYTES = 20_000, 4_000_000

#: Pods and Workflows of runs, the newest of them.
RUNS = 25

#: Kinds of the cluster that say something of the namespace.
_CLUSTER_KINDS = ("nodes", "persistentvolumes", "storageclasses")

_README = """Support bundle of Kubeflow Pipelines, made by `make support-bundle`.

doctor.json      what `make doctor` says of each part
versions.json    of the kit, of Kubernetes, and the images of each pod
objects/         the objects of the namespace, a file for each kind; of Secrets only the keys
cluster/         nodes, volumes, storage classes
logs/            POD/CONTAINER.log, and CONTAINER.previous.log of a container that was restarted

Of runs there are the {runs} newest. Every value of the namespace's Secrets, and what looks like a
password, a token or a key, is replaced by REDACTED.{short}
"""


def make(target: Target, to: Path, reports: Iterable[Report]) -> list[str]:
    """Write the bundle.

    Args:
        target: What is looked at.
        to: The file, ending in `.tar.gz`; readable by its owner alone.
        reports: What doctor says.

    Returns:
        Names of Secret values too short to be looked for, as `SECRET/KEY`.

    Raises:
        BadInputError: There is such a file.
        KitError: The cluster does not answer, or a secret would be in the bundle; then there is no
            file.
    """
    if to.exists():
        raise BadInputError(f"{to} is there already", "Name another file with TO=")
    if not to.parent.is_dir():
        raise BadInputError(f"there is no folder {to.parent}", "Make it, or name another with TO=")
    redactor = Redactor(target.items(["secrets"]))
    short = ""
    if redactor.too_short:
        names = ", ".join(redactor.too_short)
        short = f"\nToo short to be looked for outside their Secrets: {names}."
    files = {
        "README.txt": redactor.text(_README.format(runs=RUNS, short=short)),
        "doctor.json": _json([report.as_json() for report in reports], redactor),
    }
    for name, text in _files(target, redactor):
        # A Secret may hold a word that is the name of something.
        console.say(f"  {redactor.text(name)}")
        files[redactor.text(name)] = text
    leaking = [name for name, text in files.items() if redactor.leaks(f"{name}\n{text}")]
    if leaking:
        raise KitError(
            f"a secret would be in {', '.join(leaking)}: no bundle was written",
            "Report it with the name of the file, not its content",
        )
    _write(to, files)
    return redactor.too_short


def _files(target: Target, redactor: Redactor) -> Iterator[tuple[str, str]]:
    """Yield path and content of each file that comes from the cluster."""
    base = [target.kubectl, "--context", target.context]
    server = process.query([*base, "version", "--output=json"])
    pods = _newest(target.items(["pods"]))
    images = {
        pod["metadata"]["name"]: sorted(
            {status["image"]: status["imageID"] for status in health.statuses(pod)}.items()
        )
        for pod in pods
    }
    about = {"kit": versions(), "kubernetes": json.loads(server.stdout), "images": images}
    yield "versions.json", _json(about, redactor)
    for kind in _CLUSTER_KINDS:
        found = process.query([*base, "get", kind, "--output=json"], check=False)
        if found.ok:
            yield f"cluster/{kind}.yaml", _yaml(json.loads(found.stdout)["items"], redactor)
    described = process.query([*base, "describe", "nodes"], check=False)
    yield "cluster/nodes.txt", redactor.text(described.stdout or described.stderr)
    for kind in _kinds(target):
        try:
            items = target.items([kind])
        except CommandError as error:  # Not every account may read every kind.
            yield f"objects/{kind}.txt", redactor.text(error.stderr)
            continue
        if items:
            yield f"objects/{kind}.yaml", _yaml(_newest(items), redactor)
    for pod in pods:
        for status in health.statuses(pod):
            yield from _logs(target, redactor, pod["metadata"]["name"], status)


def _kinds(target: Target) -> list[str]:
    """Return every kind of object that a namespace may hold and the account may list."""
    argv = ["api-resources", "--namespaced", "--verbs=list", "--output=name"]
    listed = process.query([target.kubectl, "--context", target.context, *argv], check=False)
    # Old events are the same objects under another name, and metrics are no objects.
    return sorted(
        kind
        for kind in listed.stdout.split()
        if kind not in ("events.events.k8s.io", "pods.metrics.k8s.io")
    )


def _logs(
    target: Target, redactor: Redactor, pod: str, status: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    name = status["name"]
    argv = ["logs", pod, f"--container={name}", "--timestamps", f"--tail={LOG_LINES}"]
    ways: dict[str, list[str]] = {}
    if status.get("state", {}).keys() & {"running", "terminated"}:
        ways["log"] = []
    if status["restartCount"]:
        ways["previous.log"] = ["--previous"]
    for ending, more in ways.items():
        said = target.query(*argv, *more, check=False)
        text = redactor.text(said.stdout if said.ok else said.stderr)
        yield f"logs/{pod}/{name}.{ending}", text[-LOG_BYTES:]


def _newest(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all objects that are of no run, and the newest of those that are."""
    of_runs: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for item in items:
        labels = item["metadata"].get("labels", {})
        (of_runs if health.RUN in labels or explain.WORKFLOW in labels else others).append(item)
    of_runs.sort(key=lambda item: item["metadata"]["creationTimestamp"], reverse=True)
    return others + of_runs[:RUNS]


def _yaml(items: list[dict[str, Any]], redactor: Redactor) -> str:
    return yaml.safe_dump_all(
        redactor.object(items), sort_keys=False, allow_unicode=True, width=10**9
    )


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
