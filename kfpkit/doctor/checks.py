"""The checks of an installation, from the outside in."""

from __future__ import annotations

import json
import secrets
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from kfpkit.core import process
from kfpkit.core.errors import KitError, join_names
from kfpkit.core.findings import Finding, fault, ok, skipped, warning
from kfpkit.doctor.check import Check
from kfpkit.doctor.clocks import clocks
from kfpkit.doctor.drivers import drivers
from kfpkit.kfp import api, reach
from kfpkit.kfp.database import AS_COMPONENT, METADATA, PIPELINES, Database
from kfpkit.kfp.object_store import SECRET, place
from kfpkit.kfp.states import BAD, ENDED, ENDS
from kfpkit.kube import forward, health, render, volumes
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import lock
from kfpkit.operations.backup.holding import WRITERS
from kfpkit.runs import explain
from kfpkit.runs.facts import Facts

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
TIMEOUT = 20

#: Tables and bytes of each schema that the account sees; connections, and the most of them.
_SCHEMAS = (
    "SELECT JSON_ARRAY(s.schema_name, COUNT(t.table_name), "
    "COALESCE(SUM(t.data_length + t.index_length), 0)) FROM information_schema.schemata s "
    "LEFT JOIN information_schema.tables t ON t.table_schema = s.schema_name "
    "WHERE s.schema_name IN ('mlpipeline', 'metadb') GROUP BY s.schema_name;"
)
_CONNECTIONS = (
    "SELECT JSON_ARRAY(CAST(variable_value AS INT), @@max_connections) "
    "FROM information_schema.global_status WHERE variable_name = 'THREADS_CONNECTED';"
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
    """Every component of the overlay is there and ready, and none restarts."""
    components = lifecycle.components(target)
    wanted = {d["metadata"]["name"] for d in render.workloads(target.documents)}
    if lacking := wanted - {one.name for one in components}:
        yield fault(f"not installed: {join_names(sorted(lacking))}", "make install")
    idle = {
        p.name for p in components if p.kind == "Deployment" and not p.wanted and not p.sickness
    }
    holding = lock.read(target)
    kept = idle & set(WRITERS) if holding else set()
    if holding:
        without = f"{join_names(kept)}: 0 of 0 ready: " if kept else ""
        told = warning if holding.alive and not kept else fault
        yield told(f"{without}{holding.said}. {holding.do}", holding.command)
    for one in components:
        sickness = one.sickness
        if sickness:
            look = ["describe", sickness.object]
            if sickness.container:
                look = ["logs", sickness.object, "--container", sickness.container]
                look += ["--previous"] if sickness.previous else []
            said = f"{one.name}: {sickness.object}: {sickness.reason}: {sickness.detail}"
            yield fault(said, target.line(*look))
        elif one.name not in kept and not (one.done and one.wanted):
            state = one.state if one.wanted else "somebody scaled it to no pods"
            said = f"{one.name}: {one.ready} of {one.wanted} ready: {state}"
            what = "deployment" if one.kind == "Deployment" else "statefulset"
            yield fault(said, target.line("describe", f"{what}/{one.name}"))
    for pod in target.items(["pods"], "--selector", health.OWNED):
        yield from _restarts(target, pod)
    yield from _failed(target, target.items(["jobs"]))
    ready = sum(one.done and one.wanted > 0 for one in components)
    yield ok(f"{ready} of {len(components)} components ready")


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
                yield warning(said, target.line("logs", f"job/{name}"))


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
            target.line("logs", f"pod/{name}", f"--container={container['name']}", "--previous"),
        )


def database(target: Target) -> Iterator[Finding]:
    """The database answers the account of KFP's components, and has both schemas."""
    server = Database(target)
    if not server.embedded:
        yield skipped("it is outside the cluster: that it answers shows in the API's check")
        return
    *rows, (used, most) = server.rows(_SCHEMAS + _CONNECTIONS, AS_COMPONENT)
    schemas = {name: (tables, size) for name, tables, size in rows}
    log = target.line("logs", "statefulset/database", "--tail=50")
    readers = {PIPELINES: "ml-pipeline", METADATA: "metadata-grpc"}
    for name, reader in readers.items():
        tables, size = schemas.get(name, (0, 0.0))
        if tables:
            yield ok(f"{name}: {tables} tables, {size / 2**20:.0f} MiB")
        elif name in schemas:
            restart = target.line("rollout", "restart", f"deployment/{reader}")
            yield fault(f"the schema {name} has no tables; {reader} makes them", restart)
        else:
            yield fault(f"the schema {name} is not there for the account of KFP's components", log)
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
    log = target.line("logs", "statefulset/object-store", "--tail=50")
    look = log if where.service else target.line("get", "secret", SECRET)
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
    log = target.line("logs", "deployment/ml-pipeline", "--tail=50")
    with reach.service(target, forward.API) as address:
        try:
            client = api.connect(f"http://{address}", TIMEOUT)
            began = time.monotonic()
            listed = client.list_runs(page_size=100, sort_by="created_at desc")
        except KitError as error:
            yield fault(error.what, log)
            return
    seconds = time.monotonic() - began
    said = f"healthy; {listed.total_size} runs, the newest listed in {seconds:.1f} s"
    yield warning(said, log) if seconds > 5 else ok(said)
    with_workflow = {
        w["metadata"]["labels"].get(health.RUN)
        for w in target.items(["workflows"], "--selector", health.RUN)
    }
    for record in listed.runs:
        run = record["run_id"]
        # A run that has just been made may not have its Workflow yet.
        going = record.get("state") not in ENDS and _age(record["created_at"]) > SETTLED
        if going and run not in with_workflow:
            why = explain.explain(Facts(run, record=record), target)
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
    events = explain.warnings(target) if failed or going else []

    def troubles(workflows: list[dict[str, Any]]) -> Iterator[Finding]:
        for workflow in workflows:
            run = workflow["metadata"]["labels"][health.RUN]
            why = explain.explain(explain.select(target, run, objects, events), target)
            if why.reason:
                yield warning(f"run {run}: {why.sentence}", f"make explain RUN={run}")

    yield from troubles(failed[:EXPLAINED])
    if len(failed) > EXPLAINED:
        look = target.line("get", "workflows", f"--selector={health.RUN}")
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
    Check("pods", "every component is ready", pods, ("cluster",), "README"),
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
    Check("drivers", "drivers need no pods", drivers, ("cluster",), "driver-pods"),
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
