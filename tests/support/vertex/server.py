"""The stand-in itself: pipeline jobs and schedules over HTTP."""

from __future__ import annotations

import json
import re
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import requests
from google.cloud import aiplatform_v1
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from kfpkit.core import process
from kfpkit.core.versions import ROOT
from kfpkit.kfp import targets_file
from kfpkit.kfp.run import Run
from tests.support.vertex import storage, told
from tests.support.vertex.worker import STATE

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from kfpkit.kfp.targets_file import Vertex

PROJECT, LOCATION, BUCKET = "stand-in-project", "europe-west4", "stand-in-runs"
ROOT_URI = f"gs://{BUCKET}/pipelines"

#: The project's number, which is in the URIs of artifacts.
NUMBER = "424242424242"

_JOBS = f"projects/{PROJECT}/locations/{LOCATION}/pipelineJobs"
_SCHEDULES = f"projects/{PROJECT}/locations/{LOCATION}/schedules"
_METADATA = f"projects/{PROJECT}/locations/{LOCATION}/metadataStores/default"
_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_OVER = ("PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_FAILED", "PIPELINE_STATE_CANCELLED")

#: Query parameters that each method takes, beside those of every one.
_QUERY = {
    "pipelineJobId",
    "contextId",
    "filter",
    "pageSize",
    "pageToken",
    "orderBy",
    "readMask",
    "$alt",
}

#: Words of Google's API for an HTTP status.
WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}

#: IR's parameter types, and what JSON may hold for them.
_TYPES: dict[str, tuple[type, ...]] = {
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "STRING": (str,),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


class RefusedError(Exception):
    """An error of the API."""

    def __init__(self, status: int, message: str, page: str = "") -> None:
        self.status = status
        self.message = message
        #: In place of JSON: what a proxy, or Google's front end for a wrong host, answers.
        self.page = page
        super().__init__(message)


@dataclass
class Job:
    """A run."""

    resource: dict[str, Any]
    folder: Path
    running: subprocess.Popen[str] | None = None
    cancelled: bool = False


@dataclass
class StandIn:
    """Its state.

    Attributes:
        address: Of the API.
        storage: Address of Cloud Storage.
        targets: A targets.toml with the target `stand-in`.
        folder: Takes a folder a run.
        refusals: What the next requests are answered, each with the method that it is for.
        requests: Method, path and body of those that came.
        objects: What the bucket holds by its key, where Cloud Storage is here.
        contexts: Those of the metadata store, by their resource name; children are `childContexts`.
    """

    address: str
    storage: str
    targets: Path
    folder: Path
    refusals: list[tuple[str, RefusedError]] = field(default_factory=list)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    schedules: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    contexts: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def refuse(self, status: int, message: str, *, method: str = "", page: str = "") -> None:
        """Answer the next request, or the next of a method, with an error."""
        self.refusals.append((method, RefusedError(status, message, page)))

    def fire(self, name: str) -> str:
        """Start the run of a schedule, as its hour would; return the run's ID."""
        (schedule,) = (one for one in self.schedules.values() if one["displayName"] == name)
        request = schedule["createPipelineJobRequest"]
        count = sum("scheduleName" in job.resource for job in self.jobs.values())
        job = {**request["pipelineJob"], "displayName": name, "scheduleName": schedule["name"]}
        pipeline = job["pipelineSpec"]["pipelineInfo"]["name"]
        run_id = f"{pipeline}-scheduled-{count}"
        self.create(run_id, job)
        return run_id

    def create(self, run_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Take a run and start it."""
        name = f"{_JOBS}/{run_id}"
        if not _ID.fullmatch(run_id):
            raise RefusedError(400, f"Invalid PipelineJob ID {run_id!r}")
        if name in self.jobs:
            raise RefusedError(409, f"Requested entity already exists: {name}")
        self._check(body)
        now = told.stamp(datetime.now(UTC))
        resource = {**body, "name": name, "createTime": now, "startTime": now, "updateTime": now}
        resource["state"] = "PIPELINE_STATE_PENDING"
        job = Job(resource, self.folder / run_id)
        job.folder.mkdir()
        self.jobs[name] = job
        if not self._from_cache(job):
            self._start(job, run_id)
        return self.get(name)

    def get(self, name: str) -> dict[str, Any]:
        """Return a run as it is now."""
        job = self.jobs.get(name)
        if job is None:
            raise RefusedError(404, f"The PipelineJob {name!r} does not exist.")
        if job.resource["state"] in _OVER:
            return job.resource
        ended = job.running is not None and job.running.poll() is not None
        file = job.folder / STATE
        run = Run.from_json(file.read_text(encoding="utf-8")) if file.exists() else None
        if run:
            job.resource["state"] = "PIPELINE_STATE_RUNNING"
            job.resource["jobDetail"] = {"taskDetails": told.details(name, run)}
        if ended:
            word = str(run.state) if run and run.finished else "failed"
            word = "cancelled" if job.cancelled else word
            job.resource["state"] = f"PIPELINE_STATE_{word.upper()}"
            job.resource["endTime"] = told.stamp(datetime.now(UTC))
            if word == "failed":
                failed = [row.name for row in run.failed] if run else []
                job.resource["error"] = {
                    "code": 9,
                    "message": "The DAG failed because some tasks failed. The failed tasks are: "
                    f"[{', '.join(failed)}].",
                }
        elif job.cancelled:
            job.resource["state"] = "PIPELINE_STATE_CANCELLING"
        return job.resource

    def cancel(self, name: str) -> dict[str, Any]:
        """End a run."""
        if self.get(name)["state"] in _OVER:
            raise RefusedError(400, f"The PipelineJob {name!r} is in a final state.")
        job = self.jobs[name]
        job.cancelled = True
        if job.running:
            job.running.terminate()
        return {}

    def close(self) -> None:
        """End all runs."""
        for job in self.jobs.values():
            if job.running and job.running.poll() is None:
                job.running.terminate()
                job.running.wait()

    def _start(self, job: Job, run_id: str) -> None:
        config = job.resource["runtimeConfig"]
        given = {
            "spec": job.resource["pipelineSpec"],
            "values": config.get("parameterValues", {}),
            "output": f"{config['gcsOutputDirectory'].rstrip('/')}/{NUMBER}/{run_id}",
        }
        (job.folder / "job.json").write_text(json.dumps(given), encoding="utf-8")
        job.running = process.start(
            [sys.executable, "-m", "tests.support.vertex.worker", str(job.folder)],
            log=job.folder / "worker.log",
            cwd=ROOT,
            env={"STORAGE_EMULATOR_HOST": self.storage, "PYTHONPATH": str(ROOT)},
        )

    def _from_cache(self, job: Job) -> bool:
        """Give a run the outputs of an earlier one that was the same, if all its tasks may."""
        spec = job.resource["pipelineSpec"]
        graphs = [spec["root"], *spec["components"].values()]
        tasks = [task for one in graphs for task in one.get("dag", {}).get("tasks", {}).values()]
        # Loops and conditions have no setting of their own.
        work = [t for t in tasks if "dag" not in spec["components"][t["componentRef"]["name"]]]
        if not all(task.get("cachingOptions", {}).get("enableCache") for task in work):
            return False
        for other in self.jobs.values():
            same = all(
                other.resource.get(key) == job.resource.get(key)
                for key in ("pipelineSpec", "runtimeConfig")
            )
            done = other.resource["state"] == "PIPELINE_STATE_SUCCEEDED"
            if other is job or not same or not done:
                continue
            now = told.stamp(datetime.now(UTC))
            told_again = json.loads(json.dumps(other.resource["jobDetail"]))
            for detail in told_again["taskDetails"]:
                if detail["state"] == "SUCCEEDED" and "executorDetail" in detail:
                    detail["state"] = "SKIPPED"
                    detail |= {"createTime": now, "startTime": now, "endTime": now}
                    del detail["executorDetail"]
            job.resource |= {"jobDetail": told_again, "endTime": now}
            job.resource["state"] = "PIPELINE_STATE_SUCCEEDED"
            return True
        return False

    def _check(self, body: dict[str, Any]) -> None:
        spec = body.get("pipelineSpec", {})
        try:
            json_format.ParseDict(spec, PipelineSpec())
        except json_format.ParseError as error:
            raise RefusedError(400, f"Failed to parse the pipeline spec: {error}") from None
        if spec.get("schemaVersion") != "2.1.0":
            raise RefusedError(400, f"Unsupported schema version {spec.get('schemaVersion')!r}")
        config = body.get("runtimeConfig", {})
        declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        for name, value in config.get("parameterValues", {}).items():
            if name not in declared:
                raise RefusedError(400, f"The input parameter {name!r} is not declared")
            kinds = _TYPES[declared[name]["parameterType"]]
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise RefusedError(400, f"The input parameter {name!r} has a value of another type")
        if not re.fullmatch(r"gs://[^/]+(/.*)?", config.get("gcsOutputDirectory", "")):
            raise RefusedError(
                400, f"Invalid GCS output directory {config.get('gcsOutputDirectory')!r}"
            )
        bucket = config["gcsOutputDirectory"].split("/")[2]
        if not requests.get(f"{self.storage}/storage/v1/b/{bucket}", timeout=10).ok:
            raise RefusedError(
                400, f"The GCS bucket {bucket!r} of gcs_output_directory does not exist"
            )
        for key, pattern in (
            ("serviceAccount", r"[^@\s]+@[^@\s]+\.gserviceaccount\.com"),
            ("network", r"projects/\d+/global/networks/[a-z0-9-]+"),
        ):
            if key in body and not re.fullmatch(pattern, body[key]):
                raise RefusedError(400, f"Invalid {key} {body[key]!r}")

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        """Return the JSON that answers a request."""
        with self.lock:
            self.requests.append((method, path, body))
            for planned in self.refusals:
                if planned[0] in ("", method):
                    self.refusals.remove(planned)
                    raise planned[1]
            return self._answer(method, path, query, body)

    def _answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        if "/storage/v1/b/" in path:
            return self._stored(path, query)
        if unknown := query.keys() - _QUERY:
            raise RefusedError(400, f'Invalid JSON payload received. Unknown name "{min(unknown)}"')
        name, _, verb = path.removeprefix("/v1/").partition(":")
        if name.split("/")[:4] != _JOBS.split("/")[:4]:
            if name.split("/")[1:2] != [PROJECT]:
                raise RefusedError(
                    403,
                    f"Permission 'aiplatform.pipelineJobs.create' denied on resource "
                    f"'//aiplatform.googleapis.com/{name}' (or it may not exist).",
                )
            raise RefusedError(404, "", page="<html><title>Error 404 (Not Found)!!1</title></html>")
        kind = name.split("/")[4]
        match (method, kind, name.count("/"), verb):
            case ("POST", "pipelineJobs", 4, ""):
                return self.create(query["pipelineJobId"], _strict(body, "PipelineJob"))
            case ("GET", "pipelineJobs", 4, ""):
                return {"pipelineJobs": [self.get(one) for one in self.jobs]}
            case ("GET", "pipelineJobs", 5, ""):
                return self.get(name)
            case ("POST", "pipelineJobs", 5, "cancel"):
                return self.cancel(name)
            case ("POST", "schedules", 4, ""):
                return self._schedule(_strict(body, "Schedule"))
            case ("GET", "schedules", 4, ""):
                return {"schedules": list(self.schedules.values())}
            case (_, "metadataStores", _, _):
                return self._context(method, name, verb, query, body)
        if kind != "schedules" or name not in self.schedules:
            raise RefusedError(404, f"Not found: {method} {path}")
        match (method, verb):
            case ("GET", ""):
                return self.schedules[name]
            case ("DELETE", ""):
                del self.schedules[name]
                empty = {"@type": "type.googleapis.com/google.protobuf.Empty"}
                return {"name": f"{name}/operations/1", "done": True, "response": empty}
            case ("POST", "pause" | "resume"):
                self.schedules[name]["state"] = "PAUSED" if verb == "pause" else "ACTIVE"
                return {}
        raise RefusedError(404, f"Not found: {method} {path}")

    def _stored(self, path: str, query: dict[str, str]) -> Any:
        """Answer for Cloud Storage: the bucket, a list of objects, one of them, and its bytes."""
        bucket, _, rest = path.partition("/storage/v1/b/")[2].partition("/")
        if bucket != BUCKET:
            raise RefusedError(404, "The specified bucket does not exist.")
        if not rest:
            return {"kind": "storage#bucket", "name": BUCKET, "id": BUCKET}
        key = unquote(rest.removeprefix("o").removeprefix("/"))
        if key and key not in self.objects:
            raise RefusedError(404, f"No such object: {bucket}/{key}")
        if key and query.get("alt") == "media":
            return self.objects[key]
        all_ = [{"name": name, "size": str(len(data))} for name, data in self.objects.items()]
        if key:
            return next(one for one in all_ if one["name"] == key)
        found = [one for one in all_ if str(one["name"]).startswith(query.get("prefix", ""))]
        return {"items": found[: int(query.get("maxResults", 1000))]}

    def _context(
        self, method: str, name: str, verb: str, query: dict[str, str], body: Any
    ) -> dict[str, Any]:
        """Answer for the metadata store, which is there."""
        if name == _METADATA:
            return {"name": name}
        if method == "POST" and not verb:
            name = f"{name}/{query['contextId']}"
            self.contexts[name] = _strict(body, "Context") | {"name": name}
        elif name not in self.contexts:
            raise RefusedError(404, f"No such context: {name}")
        elif verb == "addContextChildren":
            self.contexts[name].setdefault("childContexts", []).extend(body["childContexts"])
            return {}
        return {key: one for key, one in self.contexts[name].items() if key != "childContexts"}

    def _schedule(self, body: dict[str, Any]) -> dict[str, Any]:
        request = body["createPipelineJobRequest"]
        self._check(request["pipelineJob"])
        fields = re.sub(r"^(CRON_)?TZ=\S+ ", "", body.get("cron", "")).split()
        if len(fields) != 5 or not all(re.fullmatch(r"[\d*/,\-A-Za-z]+", one) for one in fields):
            raise RefusedError(400, f"Invalid cron expression {body.get('cron')!r}")
        if int(body.get("maxConcurrentRunCount", 0)) < 1:
            raise RefusedError(400, "max_concurrent_run_count must be positive")
        name = f"{_SCHEDULES}/{len(self.requests):019}"
        now = told.stamp(datetime.now(UTC))
        self.schedules[name] = {**body, "name": name, "state": "ACTIVE", "createTime": now}
        return self.schedules[name]


def _strict(body: Any, kind: str) -> dict[str, Any]:
    """Return a body as JSON has it, after Google's own message of it has taken it."""
    message = getattr(aiplatform_v1, kind).pb()()
    try:
        json_format.ParseDict(body, message)
    except json_format.ParseError as error:
        raise RefusedError(400, f"Invalid JSON payload received. {error}") from None
    return dict(json_format.MessageToDict(message))


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn

    def do_GET(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def do_DELETE(self) -> None:
        self._do()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _do(self) -> None:
        parts = urlsplit(self.path)
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        try:
            body = json.loads(text or "{}")
            query = dict(parse_qsl(parts.query))
            answer = self.stand_in.answer(self.command, parts.path, query, body)
            self._send(200, answer if isinstance(answer, bytes) else json.dumps(answer))
        except RefusedError as refusal:
            word = WORDS.get(refusal.status, "UNKNOWN")
            error = {"code": refusal.status, "message": refusal.message, "status": word}
            self._send(refusal.status, refusal.page or json.dumps({"error": error}))

    def _send(self, status: int, text: str | bytes) -> None:
        data = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        kind = "text/html" if data.startswith(b"<") else "application/json"
        self.send_header("Content-Type", f"{kind}; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def targets(address: str, name: str = "stand-in", **more: Any) -> str:
    """Return the text of a targets.toml with a target on the stand-in; `more` are keys of it."""
    keys = {
        "project": PROJECT,
        "location": LOCATION,
        "pipeline_root": ROOT_URI,
        "api_endpoint": address,
        "credentials": "anonymous",
    } | more
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def target(stand_in: StandIn, **more: Any) -> Vertex:
    """Return a target on a stand-in; `more` are keys of it."""
    file = stand_in.targets.with_name("other.toml")
    file.write_text(targets(stand_in.address, **more), encoding="utf-8")
    found = targets_file.vertex("stand-in", file)
    assert found
    return found


@contextmanager
def served(folder: Path, store: str = "") -> Iterator[StandIn]:
    """Start the API alone, with Cloud Storage elsewhere; without one it has the bucket, empty."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    folder.mkdir(exist_ok=True)
    file = folder / "targets.toml"
    file.write_text(targets(address), encoding="utf-8")
    runs = folder / "stand-in-runs"
    runs.mkdir()
    stand_in = StandIn(address, store or address, file, runs)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"stand_in": stand_in})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        stand_in.close()


@contextmanager
def opened(folder: Path) -> Iterator[StandIn]:
    """Start the API and Cloud Storage; a program needs STORAGE_EMULATOR_HOST set to `.storage`."""
    with storage.opened(BUCKET) as store, served(folder, store) as stand_in:
        yield stand_in
