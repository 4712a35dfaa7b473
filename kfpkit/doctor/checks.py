"""The checks of an installation, from the outside in."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import requests

from kfpkit.core import process
from kfpkit.core.errors import join_names
from kfpkit.core.findings import Finding, fault, ok, skipped, warning
from kfpkit.doctor.check import Check
from kfpkit.doctor.clocks import clocks
from kfpkit.kfp import reach
from kfpkit.kfp.object_store import SECRET, place
from kfpkit.kfp.states import BAD, ENDED, ENDS
from kfpkit.kube import forward, health, render, volumes
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import journal
from kfpkit.operations.backup import restore
from kfpkit.operations.backup.parts import WRITERS, held
from kfpkit.runs import explain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.kfp.target import Target


#: Conditions of a node: of those that clouds add, some are well when they are true.
READY, BARRING = "Ready", ("NetworkUnavailable", "DiskPressure", "PIDPressure")

#: Share of the database's connections that may be in use.
CONNECTIONS = 0.8

#: How far back a restart or a failed run is of interest.
RECENT = timedelta(hours=24)
RECENT_RESTART = timedelta(hours=1)

#: How long a new run may be without a Workflow.
SETTLED = timedelta(minutes=2)

#: The most runs that are explained of those that failed, and of those that are stuck.
EXPLAINED = 5

#: Seconds for an answer of the API.
TIMEOUT = 20.0

_SQL = (
    "SELECT 'schema', s.schema_name, COUNT(t.table_name), "
    "COALESCE(SUM(t.data_length + t.index_length), 0) FROM information_schema.schemata s "
    "LEFT JOIN information_schema.tables t ON t.table_schema = s.schema_name "
    "WHERE s.schema_name IN ('mlpipeline', 'metadb') GROUP BY s.schema_name; "
    "SHOW GLOBAL STATUS LIKE 'Threads_connected'; SHOW GLOBAL VARIABLES LIKE 'max_connections'"
)

#: As the account that the API server and the metadata server use; the password stays in the pod.
_CLIENT = (
    'MYSQL_PWD="$MARIADB_PASSWORD" exec mariadb --host=127.0.0.1 --user="$MARIADB_USER" '
    '--batch --skip-column-names --execute="$0"'
)


def cluster(target: Target) -> Iterator[Finding]:
    """The Kubernetes API answers, and nodes are ready; a fault only where none is."""
    base, found = _nodes(target)
    version = json.loads(process.query([*base, "version", "--output=json"]).stdout)
    yield ok(f"Kubernetes {version['serverVersion']['gitVersion']}, nodes: {len(found)}")
    away = {node["metadata"]["name"]: said for node in found for said in _troubles(node, READY)}
    # With one that is ready the rest can be asked, and `pods` shows what suffers.
    for name, said in away.items():
        describe = process.line([*base, "describe", "node", name])
        yield (fault if len(away) == len(found) else warning)(f"node {name}: {said}", describe)
    if not target.has_namespace():
        yield fault(f"there is no namespace {target.namespace}", "make install")


def nodes(target: Target) -> Iterator[Finding]:
    """Nodes have room and a network, and take new pods; a fault only where none takes any."""
    base, found = _nodes(target)
    # One that is short of memory takes pods that ask for some.
    closed = [
        node["spec"].get("unschedulable") or any(_troubles(node, READY, *BARRING)) for node in found
    ]
    verdict = fault if all(closed) else warning
    yield ok(f"{closed.count(False)} of {len(found)} nodes take pods")
    for node in found:
        name = node["metadata"]["name"]
        describe = process.line([*base, "describe", "node", name])
        for said in _troubles(node, *BARRING, "MemoryPressure"):
            yield verdict(f"node {name}: {said}", describe)
        if node["spec"].get("unschedulable"):
            uncordon = process.line([*base, "uncordon", name])
            yield verdict(f"node {name} takes no new pods (cordoned)", uncordon)


def _nodes(target: Target) -> tuple[list[str], list[dict[str, Any]]]:
    """Return how kubectl is called for what is in no namespace, and the nodes."""
    base = [target.kubectl, "--context", target.context, "--request-timeout=15s"]
    return base, json.loads(process.query([*base, "get", "nodes", "--output=json"]).stdout)["items"]


def _troubles(node: dict[str, Any], *kinds: str) -> Iterator[str]:
    """Yield what is not as it should be of what a node says of itself."""
    said = {c["type"]: c for c in node["status"].get("conditions", [])}
    for kind in kinds:
        wanted = "True" if kind == READY else "False"
        condition = said.get(kind, {"status": "Unknown" if kind == READY else wanted})
        if condition["status"] != wanted:
            yield f"{kind} is {condition['status']}: {condition.get('message')}"


def pods(target: Target) -> Iterator[Finding]:
    """Every part of the overlay is there and ready, and none restarts."""
    parts = lifecycle.parts(target)
    wanted = {d["metadata"]["name"] for d in render.workloads(target.documents)}
    if lacking := wanted - {part.name for part in parts}:
        yield fault(f"not installed: {join_names(sorted(lacking))}", "make install")
    idle = {p.name for p in parts if p.kind == "Deployment" and not p.wanted and not p.sickness}
    holding = _holding(target) if idle else None
    kept = idle & holding.names if holding else set()
    if holding and kept:
        yield fault(f"{join_names(sorted(kept))}: 0 of 0 ready: {holding.said}", holding.command)
    for part in parts:
        sickness = part.sickness
        if sickness:
            look = ["describe", sickness.object]
            if sickness.container:
                look = ["logs", sickness.object, "--container", sickness.container]
                look += ["--previous"] if sickness.previous else []
            said = f"{part.name}: {sickness.object}: {sickness.reason}: {sickness.detail}"
            yield fault(said, explain.kubectl(target, *look))
        elif part.name not in kept and not (part.done and part.wanted):
            state = part.state if part.wanted else "somebody scaled it to no pods"
            said = f"{part.name}: {part.ready} of {part.wanted} ready: {state}"
            what = "deployment" if part.kind == "Deployment" else "statefulset"
            yield fault(said, explain.kubectl(target, "describe", f"{what}/{part.name}"))
    for pod in target.items(["pods"], "--selector", health.OWNED):
        yield from _restarts(target, pod)
    yield from _failed(target, target.items(["jobs"]))
    ready = sum(part.done and part.wanted > 0 for part in parts)
    yield ok(f"{ready} of {len(parts)} parts ready")


@dataclass(frozen=True)
class _Hold:
    """What keeps Deployments without pods, and is not at its end."""

    names: set[str]
    said: str
    #: What goes on with it.
    command: str


def _holding(target: Target) -> _Hold:
    """Return what holds parts: an upgrade, a restore, or a backup, at work or killed."""
    upgrade = journal.read(target)
    wait = "unless that is at work now"
    if upgrade and upgrade.phase is journal.Phase.ROLLBACK:
        said = f"a rollback is under way; {wait}, make rollback goes on with it"
        return _Hold(set(WRITERS), said, "make rollback")
    if upgrade and upgrade.phase is not journal.Phase.DONE:
        said = f"an upgrade from {upgrade.source} to {upgrade.to} stands at {upgrade.phase}; {wait}"
        said += ", make upgrade goes on from there, make rollback takes it back"
        return _Hold(set(WRITERS), said, "make upgrade")
    names = set(held(target))
    if state := restore.under_way(target):
        said = f"the restore of {state['folder']} is not at its end; {wait}"
        return _Hold(names, f"{said}, the same one again goes on", restore.command(state))
    said = f"held by a backup or a restore; {wait}, make backup-resume starts them again"
    return _Hold(names, said, "make backup-resume")


def _failed(target: Target, jobs: list[dict[str, Any]]) -> Iterator[Finding]:
    """Say which jobs of the overlay's CronJobs have failed, with no later one that completed."""
    ours = {d["metadata"]["name"] for d in target.documents if d["kind"] == "CronJob"}
    ended: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for job in jobs:
        made = job["metadata"]["creationTimestamp"]
        for maker in job["metadata"].get("ownerReferences", []):
            for condition in job["status"].get("conditions", []):
                if maker["name"] in ours and condition["status"] == "True":
                    end = (made, job["metadata"]["name"], condition)
                    ended.setdefault(maker["name"], []).append(end)
    for ends in ended.values():
        well = max((made for made, _, c in ends if c["type"] == "Complete"), default="")
        for made, name, condition in ends:
            if condition["type"] == "Failed" and made > well:
                said = f"the job {name} failed: {condition.get('message', '')}"
                yield warning(said, explain.kubectl(target, "logs", f"job/{name}"))


def _restarts(target: Target, pod: dict[str, Any]) -> Iterator[Finding]:
    name = pod["metadata"]["name"]
    for container in pod.get("status", {}).get("containerStatuses", []):
        ended = container.get("lastState", {}).get("terminated") or {}
        # When one ended that went with its node, nobody knows.
        when = ended.get("finishedAt") or container["state"].get("running", {}).get("startedAt")
        if not ended or not when or _age(when) > RECENT_RESTART:
            continue
        yield warning(
            f"{name}: {container['name']} was restarted {_age(when).seconds // 60} "
            f"minutes ago: exit code {ended['exitCode']} ({ended.get('reason')})",
            explain.kubectl(
                target, "logs", f"pod/{name}", f"--container={container['name']}", "--previous"
            ),
        )


def database(target: Target) -> Iterator[Finding]:
    """The database answers the account of the parts, and has both schemas."""
    names = [d["metadata"]["name"] for d in target.documents if d["kind"] == "StatefulSet"]
    if "database" not in names:
        yield skipped("it is outside the cluster: that it answers shows in the API's check")
        return
    argv = ["exec", "statefulset/database", "--container=mariadb", "--", "sh", "-c", _CLIENT, _SQL]
    answer = target.query(*argv)
    log = explain.kubectl(target, "logs", "statefulset/database", "--tail=50")
    rows = [line.split("\t") for line in answer.stdout.splitlines()]
    schemas = {row[1]: (int(row[2]), float(row[3])) for row in rows if row[0] == "schema"}
    figures = {row[0].lower(): int(row[1]) for row in rows if len(row) == 2}
    readers = {"mlpipeline": "ml-pipeline", "metadb": "metadata-grpc"}
    for name, reader in readers.items():
        tables, size = schemas.get(name, (0, 0.0))
        if tables:
            yield ok(f"{name}: {tables} tables, {size / 2**20:.0f} MiB")
        elif name in schemas:
            restart = explain.kubectl(target, "rollout", "restart", f"deployment/{reader}")
            yield fault(f"the schema {name} has no tables; {reader} makes them", restart)
        else:
            yield fault(f"the schema {name} is not there for the account of the parts", log)
    used, most = figures["threads_connected"], figures["max_connections"]
    said = f"{used} of {most} connections"
    yield warning(said, log) if used > CONNECTIONS * most else ok(said)


def object_store(target: Target) -> Iterator[Finding]:
    """An object can be put, read and deleted with the credentials of the installation."""
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    where = place(target)
    if process.dry_run():
        yield skipped(f"would put, read and delete an object in {where.bucket}")
        return
    key, content = f"kfpkit-doctor/{secrets.token_hex(8)}", secrets.token_bytes(64)
    log = explain.kubectl(target, "logs", "statefulset/object-store", "--tail=50")
    look = log if where.service else explain.kubectl(target, "get", "secret", SECRET)
    with reach.store(target) as store:
        step = "put"
        try:
            store.put(key, content)
            step = "read"
            same = bytes(store.get(key).bytes()) == content
            step = "delete"
            store.delete(key)
        except BaseError as error:
            said = f"{step} in bucket {where.bucket} at {where.address}: {_first_line(error)}"
            refused = isinstance(error, PermissionDeniedError | UnauthenticatedError)
            if where.service or refused:
                yield fault(said, look)
            else:
                yield warning(f"from this machine: {said}; the canary does it from a pod", look)
            return
    if same:
        yield ok(f"put, read and deleted an object in bucket {where.bucket} at {where.address}")
    else:
        yield fault(f"bucket {where.bucket} gives back other bytes than were put", look)


def metadata(target: Target) -> Iterator[Finding]:
    """The metadata server answers, through the bridge that the web UI uses."""
    from kfpkit.kfp import metadata as reader

    with reach.service(target, forward.METADATA) as address:
        reader.executions(address, "no such run")
    yield ok("the metadata server answers through its bridge, and reaches its database")


def server(target: Target) -> Iterator[Finding]:
    """The API is healthy, lists runs, and none of them is lost."""
    log = explain.kubectl(target, "logs", "deployment/ml-pipeline", "--tail=50")
    with reach.service(target, forward.API) as address:
        base = f"http://{address}/apis/v2beta1"
        listing = {"page_size": "100", "sort_by": "created_at desc"}
        try:
            requests.get(f"{base}/healthz", timeout=TIMEOUT).raise_for_status()
            answer = requests.get(f"{base}/runs", params=listing, timeout=TIMEOUT)
            answer.raise_for_status()
            listed = answer.json()
        except (requests.RequestException, ValueError) as error:
            yield fault(f"the API does not answer as it should: {_first_line(error)}", log)
            return
    seconds = answer.elapsed.total_seconds()
    said = f"healthy; {listed.get('total_size', 0)} runs, the newest listed in {seconds:.1f} s"
    yield warning(said, log) if seconds > 5 else ok(said)
    with_workflow = {
        w["metadata"]["labels"].get(health.RUN)
        for w in target.items(["workflows"], "--selector", health.RUN)
    }
    for record in listed.get("runs", []):
        run = record["run_id"]
        # A run that has just been made may not have its Workflow yet.
        going = record.get("state") not in ENDS and _age(record["created_at"]) > SETTLED
        if going and run not in with_workflow:
            why = explain.explain(explain.Facts(run, record=record), target)
            yield warning(f"run {run}: {why.sentence}", f"make explain RUN={run}")


def runs(target: Target) -> Iterator[Finding]:
    """No run failed lately for a reason that is the installation's, and none is stuck."""
    objects = target.items(["workflows", "pods"], "--selector", health.RUN)
    recent = [w for w in objects if w["kind"] == "Workflow" and _is_recent(w)]
    recent.sort(key=lambda w: w["metadata"]["creationTimestamp"], reverse=True)
    failed = [w for w in recent if _phase(w) in BAD]
    going = [w for w in recent if _phase(w) not in ENDED]
    # The workflow-controller may not have seen a new one yet.
    known = [w for w in going if _phase(w) or _age(w["metadata"]["creationTimestamp"]) > SETTLED]
    events = target.items(["events"]) if failed or going else []

    def troubles(workflows: list[dict[str, Any]]) -> Iterator[Finding]:
        for workflow in workflows:
            run = workflow["metadata"]["labels"][health.RUN]
            why = explain.explain(explain.select(target, run, objects, events), target)
            if why.reason:
                yield warning(f"run {run}: {why.sentence}", f"make explain RUN={run}")

    yield from troubles(failed[:EXPLAINED])
    if len(failed) > EXPLAINED:
        look = explain.kubectl(target, "get", "workflows", f"--selector={health.RUN}")
        yield warning(f"and {len(failed) - EXPLAINED} more that failed", look)
    # One that goes on as it should is no trouble.
    yield from islice(troubles(known), EXPLAINED)
    ended = len(recent) - len(going)
    said = f"{ended - len(failed)} of {ended} runs that ended in the last day succeeded"
    yield ok(f"{said}, {len(going)} go on")


def canary_run(target: Target) -> Iterator[Finding]:
    """A small run passes driver, launcher and cache."""
    if process.dry_run():
        yield skipped("would run a pipeline of two steps twice, and remove both runs")
        return
    from kfpkit.operations import canary

    yield from canary.ask(target)


CANARY = "canary"

CHECKS = (
    Check("cluster", "Kubernetes answers, its nodes are ready", cluster, (), "node-down"),
    Check("nodes", "nodes take pods", nodes, ("cluster",), "node-down"),
    Check("clocks", "the clocks agree", clocks, ("cluster",), "clocks"),
    Check("storage", "volumes are bound and have room", volumes.storage, ("cluster",), "disk-full"),
    Check("pods", "every part is ready", pods, ("cluster",), "README"),
    Check(
        "database",
        "the database answers, both schemas are there",
        database,
        ("cluster",),
        "database-down",
    ),
    Check(
        "object-store",
        "objects can be put, read, deleted",
        object_store,
        ("cluster",),
        "object-store-down",
    ),
    Check(
        "metadata",
        "the metadata server answers",
        metadata,
        ("cluster", "database"),
        "ui-no-artifacts",
    ),
    Check(
        "api",
        "the API is healthy and lists runs",
        server,
        ("cluster", "database"),
        "api-refuses-uploads",
    ),
    Check("runs", "recent runs", runs, ("cluster",), "run-failed"),
    Check(
        CANARY,
        "a run passes driver, launcher and cache",
        canary_run,
        ("nodes", "object-store", "metadata", "api"),
        "run-failed",
    ),
)


def _age(timestamp: str) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(timestamp)


def _is_recent(workflow: dict[str, Any]) -> bool:
    finished = workflow.get("status", {}).get("finishedAt")
    return not finished or _age(finished) < RECENT


def _phase(workflow: dict[str, Any]) -> str:
    return str(workflow.get("status", {}).get("phase", ""))


def _first_line(error: Exception) -> str:
    said = str(error).strip().splitlines()
    return said[0] if said else type(error).__name__
