"""How fast the API answers as runs add up, with and without the kit's indexes.

Usage: .venv/bin/python benchmarks/growth.py [--runs NUMBER]... [--seconds NUMBER] [--output FILE]

Starts the database with the manifests' settings and limits, the object store, and the API server of
release 2.14.3, as containers of the images that `make images` built. Fills the tables, by the
database itself, with copies of one run that the API has made, and asks the API what the web UI and
a driver ask: in turns without and with the indexes, so that what else the machine does weighs on
both alike. Prints a table in Markdown; JSON goes to a file.

Each run that the API creates makes a Workflow on the kind cluster, in a namespace that nothing
works in and that is removed at the end. 100000 runs take 4 GB of disk and some ten minutes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import secrets
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import requests
import typer
import yaml

from kfpkit.core import console, process
from kfpkit.core.versions import ROOT
from kfpkit.core.waiting import wait_for
from kfpkit.images import builder, cache
from kfpkit.kfp import indexes
from kfpkit.kfp.database import PIPELINES
from kfpkit.kfp.target import choose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kfpkit.kfp.target import Target

    #: Makes a request, and raises where it is refused.
    Question = Callable[[], object]

#: Namespace of the Workflows, and of the tasks in the database.
SPACE = "kfpkit-growth"

#: On every container, so that those of a benchmark that was killed are found.
LABEL = "kfpkit.growth"

#: For this database alone, which is gone afterwards.
PASSWORD = secrets.token_hex(8)

#: Seconds for a container to be ready.
STARTING = 120

#: Turns without and with the indexes.
TURNS = 2

#: Steps of the run, and bytes of source text in each: a spec of 6 kB, a manifest of 14 kB. Rows of
#: real runs are larger; a spec below 8 kB stands in the row itself, and is read with it.
STEPS, SOURCE = 4, 1000

#: The runs of one minute each, oldest first; three of five are in the experiment Default, the
#: others in twenty more, and each tenth is archived. One task each, with a fingerprint of its own.
#: In the order of their keys, which InnoDB writes faster.
SEED = """
SET foreign_key_checks = 0, unique_checks = 0;
INSERT INTO experiments
  SELECT CONCAT('other-', seq), CONCAT('other ', seq), '', 1, 1, '', 'AVAILABLE' FROM seq_1_to_20;
CREATE TEMPORARY TABLE ids (id CHAR(32) NOT NULL PRIMARY KEY, n INT NOT NULL)
  SELECT MD5(seq) id, seq n FROM seq_1_to_{runs};
CREATE TEMPORARY TABLE one SELECT * FROM run_details LIMIT 1;
INSERT INTO run_details SELECT * FROM (
  SELECT id, {columns} FROM ids JOIN one ORDER BY id) made;
INSERT INTO resource_references
  SELECT id, 'Run', e, '', 'Experiment', 'Owner', JSON_OBJECT('ResourceUUID', id, 'ResourceType',
    'Run', 'ReferenceUUID', e, 'ReferenceType', 'Experiment', 'Relationship', 'Owner')
  FROM (SELECT UUID id, ExperimentUUID e FROM run_details) made ORDER BY id
  ON DUPLICATE KEY UPDATE Relationship = 'Owner';
INSERT INTO tasks (UUID, Namespace, PipelineName, RunUUID, PodName, MLMDExecutionID,
    CreatedTimestamp, Fingerprint, Name, Payload)
  SELECT id, '{space}', 'pipeline/growth', id, CONCAT('growth-', n), n, n, SHA2(n, 256), 'step',
    JSON_OBJECT('UUID', id, 'RunId', id, 'Name', 'step', 'PodName', REPEAT('x', 500))
  FROM ids ORDER BY id;
ANALYZE TABLE run_details, tasks, resource_references;
"""

#: What a copy of a run has of its own, by column.
OWN = {
    "DisplayName": "CONCAT('report ', n)",
    "Name": "CONCAT('growth-', n)",
    "ExperimentUUID": "IF(n % 5 < 3, ExperimentUUID, CONCAT('other-', 1 + n % 20))",
    "StorageState": "IF(n % 10, 'AVAILABLE', 'ARCHIVED')",
    "CreatedAtInSec": "CreatedAtInSec - 60 * ({runs} - n + 1)",
    "FinishedAtInSec": "CreatedAtInSec - 60 * ({runs} - n)",
    "State": "'SUCCEEDED'",
    "Conditions": "'Succeeded'",
}


class Containers:
    """The parts, on the network of the kind cluster."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._mark = secrets.token_hex(4)

    def start(self, image: str, *flags: str, arguments: tuple[str, ...] = ()) -> str:
        """Start an image of `images/`, and return the container's name, which is its host too."""
        _, digests = builder.plan([image])
        entry = cache.find(image, digests[image])
        if entry is None:
            raise typer.BadParameter(f"{image} is not built: make images")
        builder.load_into_engine(entry)
        name = f"{image}-{self._mark}"
        argv = ["docker", "run", "--detach", "--name", name, "--network", "kind"]
        argv += ["--label", LABEL, *flags]
        process.query([*argv, entry.references[0], *arguments])
        self._stack.callback(process.query, ["docker", "rm", "--force", "--volumes", name])
        return name


class Database:
    """The database of a container, asked by its root."""

    def __init__(self, container: str) -> None:
        self._container = container

    def run(self, sql: str) -> list[list[str]]:
        """Run statements, and return the rows of their answers."""
        shell = f'MYSQL_PWD="$MARIADB_ROOT_PASSWORD" mariadb -h127.0.0.1 -uroot -N {PIPELINES}'
        argv = ["docker", "exec", "--interactive", self._container, "bash", "-c", shell]
        answer = process.query(argv, stdin=sql).stdout
        return [row.split("\t") for row in answer.splitlines()]

    def fill(self, runs: int) -> None:
        """Have this many copies of the run that is there."""
        names = [name for (name, *_) in self.run("SHOW COLUMNS FROM run_details;")][1:]
        columns = ", ".join(OWN.get(name, f"{name}") + f" AS {name}" for name in names)
        self.run("SET GLOBAL innodb_flush_log_at_trx_commit = 0;")
        self.run(SEED.format(runs=runs, space=SPACE, columns=columns.format(runs=runs)))
        self.run("SET GLOBAL innodb_flush_log_at_trx_commit = DEFAULT;")

    def index(self) -> float:
        """Make the indexes, and return how many seconds that took."""
        began = time.monotonic()
        for index in indexes.INDEXES:
            self.run(index.sql)
        return time.monotonic() - began

    def drop(self) -> None:
        """Remove them."""
        for index in indexes.INDEXES:
            self.run(f"ALTER TABLE {index.table} DROP INDEX {index.name};")


def measure(target: Target, runs: list[int], seconds: float) -> dict[str, Any]:
    """Return what the API takes with so many runs and tasks.

    Args:
        target: The cluster whose network the parts are on.
        runs: How many, for one measurement each.
        seconds: How long each question is asked, in each turn; at least twice.

    Returns:
        By the number of runs: `index_s`, the seconds that making all indexes took, and `asked`: by
        the question, for `without` and `with` the indexes `p50_ms`, `p95_ms` and `number`, and
        `ratio`, p95 with to p95 without.
    """
    found = {}
    for number in runs:
        console.say(f"{number} runs: database, object store, API server")
        with parts(target) as (host, database):
            database.fill(number)
            times: dict[str, dict[bool, list[float]]] = {}
            made = []
            for _ in range(TURNS):
                for indexed in (False, True):
                    if indexed:
                        made.append(database.index())
                    console.say(f"{number} runs, {'with' if indexed else 'without'} indexes")
                    for name, question in questions(host, number).items():
                        kept = times.setdefault(name, {False: [], True: []})
                        kept[indexed] += timed(question, seconds)
                database.drop()
            asked = {name: compared(both[False], both[True]) for name, both in times.items()}
            found[str(number)] = {"index_s": round(median(made), 1), "asked": asked}
    return found


@contextlib.contextmanager
def parts(target: Target) -> Iterator[tuple[str, Database]]:
    """Yield the address of an API server with one run, and its database."""
    kubectl = [target.kubectl, "--context", target.context]
    gone = [*kubectl, "delete", "namespace", SPACE, "--wait", "--ignore-not-found"]
    # What a benchmark that was killed has left.
    process.query(gone)
    left = process.query(["docker", "ps", "--all", "--quiet", f"--filter=label={LABEL}"]).stdout
    if left.split():
        process.query(["docker", "rm", "--force", "--volumes", *left.split()])
    with contextlib.ExitStack() as stack:
        containers = Containers(stack)
        files = ROOT / "manifests/base"
        database = containers.start(
            "mariadb",
            *("--memory=1g", "--cpus=2", f"--env=MARIADB_ROOT_PASSWORD={PASSWORD}"),
            *("--env=MARIADB_USER=kfp", f"--env=MARIADB_PASSWORD={PASSWORD}"),
            f"--volume={files}/database/kfp.cnf:/etc/mysql/conf.d/kfp.cnf:ro",
            f"--volume={files}/database/grants.sql:/docker-entrypoint-initdb.d/grants.sql:ro",
        )
        store = containers.start(
            "versitygw",
            *("--user=0", "--tmpfs=/data", "--entrypoint=/usr/local/bin/versitygw"),
            *("--env=ROOT_ACCESS_KEY=growth", f"--env=ROOT_SECRET_KEY={PASSWORD}"),
            arguments=("--port=:9000", "--region=minio", "posix", "/data"),
        )
        argv = ["docker", "exec", database, "mariadb-admin", "-h127.0.0.1", "-uroot", "ping"]
        wait_for(
            "the database",
            lambda: None if process.query(argv, check=False).ok else "away",
            timeout=STARTING,
        )
        process.query([*kubectl, "create", "namespace", SPACE])
        stack.callback(process.query, gone)
        home = Path(stack.enter_context(TemporaryDirectory()))
        (home / "config").write_text(kubeconfig(target), encoding="utf-8")
        environment = {
            "HOME": "/home/growth",
            "POD_NAMESPACE": SPACE,
            "DBCONFIG_MYSQLCONFIG_HOST": database,
            "DBCONFIG_MYSQLCONFIG_PORT": "3306",
            "DBCONFIG_MYSQLCONFIG_USER": "kfp",
            "DBCONFIG_MYSQLCONFIG_PASSWORD": PASSWORD,
            "DBCONFIG_MYSQLCONFIG_EXTRAPARAMS": '{"charset":"utf8mb4"}',
            "OBJECTSTORECONFIG_HOST": store,
            "OBJECTSTORECONFIG_PORT": "9000",
            "OBJECTSTORECONFIG_REGION": "minio",
            "OBJECTSTORECONFIG_BUCKETNAME": "growth",
            "OBJECTSTORECONFIG_ACCESSKEY": "growth",
            "OBJECTSTORECONFIG_SECRETACCESSKEY": PASSWORD,
            "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_HOST": "not-installed",
            "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_PORT": "8888",
        }
        api = containers.start(
            "kfp-api-server",
            *("--user=0", "--publish=127.0.0.1::8888"),
            *(f"--env={name}={value}" for name, value in environment.items()),
            f"--volume={files}/ml-pipeline:/config:ro",
            f"--volume={home}:/home/growth/.kube:ro",
            arguments=("--config=/config", "--sampleconfig=/config/sample_config.json"),
        )
        published = process.query(["docker", "port", api, "8888"]).stdout.split()[0]
        host = f"http://{published}"
        wait_for("the API server", lambda: away(host), timeout=STARTING)
        create(host)
        yield host, Database(database)


def kubeconfig(target: Target) -> str:
    """Return how a container on the cluster's network reaches the cluster, as its administrator."""
    view = [target.kubectl, "--context", target.context, "config", "view"]
    config = yaml.safe_load(process.query([*view, "--minify", "--flatten"]).stdout)
    node = f"{target.context.removeprefix('kind-')}-control-plane"
    config["clusters"][0]["cluster"]["server"] = f"https://{node}:6443"
    return yaml.safe_dump(config)


def away(host: str) -> str | None:
    """Return why the API does not answer; None where it does."""
    try:
        requests.get(f"{host}/apis/v2beta1/healthz", timeout=5).raise_for_status()
    except requests.RequestException as error:
        return type(error).__name__
    return None


def pipeline() -> dict[str, Any]:
    """Return a pipeline of some steps side by side."""
    names = [f"step-{number}" for number in range(STEPS)]
    step = {"image": "python:3", "command": ["python3", "-c"], "args": ["#" * SOURCE]}
    return {
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.14.3",
        "pipelineInfo": {"name": "growth"},
        "deploymentSpec": {"executors": {f"exec-{n}": {"container": step} for n in names}},
        "components": {f"comp-{n}": {"executorLabel": f"exec-{n}"} for n in names},
        "root": {
            "dag": {
                "tasks": {
                    n: {
                        "taskInfo": {"name": n},
                        "componentRef": {"name": f"comp-{n}"},
                        "cachingOptions": {"enableCache": True},
                    }
                    for n in names
                }
            }
        },
    }


def create(host: str) -> None:
    """Create a run."""
    run = {"display_name": "report", "pipeline_spec": pipeline()}
    requests.post(f"{host}/apis/v2beta1/runs", json=run, timeout=60).raise_for_status()


def questions(host: str, runs: int) -> dict[str, Question]:
    """Return what is asked, by its name, of an API with so many runs."""
    session = requests.Session()

    def get(path: str, **query: Any) -> Any:
        answer = session.get(f"{host}/apis/{path}", params=query, timeout=300)
        answer.raise_for_status()
        return answer.json()

    def page(state: str, name: str = "", **query: str) -> Any:
        # As the web UI asks: ten runs, newest first.
        parts = [{"key": "storage_state", "operation": state, "string_value": "ARCHIVED"}]
        if name:
            parts.append({"key": "name", "operation": "IS_SUBSTRING", "string_value": name})
        text = json.dumps({"predicates": parts})
        order = "created_at desc"
        return get("v2beta1/runs", page_size=10, sort_by=order, filter=text, **query)

    def task(number: int) -> Any:
        # As a driver asks, which looks its step up in the cache.
        values = {
            "fingerprint": hashlib.sha256(str(number).encode()).hexdigest(),
            "pipelineName": "pipeline/growth",
            "namespace": SPACE,
        }
        parts = [{"op": "EQUALS", "key": k, "string_value": v} for k, v in values.items()]
        text = json.dumps({"predicates": parts})
        return get("v1alpha1/tasks", page_size=1, sort_by="created_at desc", filter=text)

    (default,) = (
        e["experiment_id"]
        for e in get("v2beta1/experiments", page_size=100)["experiments"]
        if e["display_name"] == "Default"
    )
    known = [run["run_id"] for run in get("v2beta1/runs", page_size=100)["runs"]]
    return {
        "list: all runs": lambda: page("NOT_EQUALS"),
        "list: an experiment's": lambda: page("NOT_EQUALS", experiment_id=default),
        "list: archived": lambda: page("EQUALS"),
        "list: name contains, many": lambda: page("NOT_EQUALS", "report"),
        "list: name contains, one": lambda: page("NOT_EQUALS", f"report {any_of(runs)}"),
        "get a run": lambda: get(f"v2beta1/runs/{known[any_of(len(known)) - 1]}"),
        "create a run": lambda: create(host),
        "cache look-up, hit": lambda: task(any_of(runs)),
        "cache look-up, miss": lambda: task(-any_of(runs)),
    }


def any_of(number: int) -> int:
    """Return one of the numbers from 1."""
    return random.randint(1, number)  # noqa: S311 - which one is no secret


def timed(question: Question, seconds: float) -> list[float]:
    """Return how long each answer took, in seconds, after one that is not counted."""
    question()
    took: list[float] = []
    ends = time.monotonic() + seconds
    while len(took) < 2 or time.monotonic() < ends:
        began = time.monotonic()
        question()
        took.append(time.monotonic() - began)
    return took


def compared(without: list[float], indexed: list[float]) -> dict[str, Any]:
    """Return both, and how they compare."""
    found: dict[str, Any] = {
        name: {
            "p50_ms": round(median(took) * 1000, 1),
            "p95_ms": round(sorted(took)[int(len(took) * 0.95)] * 1000, 1),
            "number": len(took),
        }
        for name, took in (("without", without), ("with", indexed))
    }
    found["ratio"] = round(found["with"]["p95_ms"] / found["without"]["p95_ms"], 4)
    return found


def main(
    runs: Annotated[list[int], typer.Option(min=1, help="How many; again for more.")] = [  # noqa: B006
        1000,
        100_000,
    ],
    seconds: Annotated[float, typer.Option(min=0, help="For each question and turn.")] = 5,
    output: Annotated[Path | None, typer.Option(help="File of JSON to write.")] = None,
) -> None:
    """Measure and print."""
    found = measure(choose(), runs, seconds)
    if output:
        output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    titles = ("runs", "asked", "p50 without, ms", "p95", "p50 with, ms", "p95", "ratio of p95")
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for number, result in found.items():
        for name, both in result["asked"].items():
            ms = [both[side][p] for side in ("without", "with") for p in ("p50_ms", "p95_ms")]
            lines.append(f"| {number} | {name} | {' | '.join(map(str, ms))} | {both['ratio']} |")
        lines.append(f"| {number} | making the indexes | | | {result['index_s']} s | | |")
    console.out.print("\n".join(lines), markup=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
