"""The two databases: asked, dumped and loaded by the programs in the database's own pod.

Where the database is outside the cluster, a pod with the same programs is made for the time being.
A pod of the kit asks with a client of its own, and can neither dump nor load.

A dump is loaded beside the databases that are in use, and takes their place in one statement; those
that were in use stay under another name.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kfpkit.core import console, process
from kfpkit.core.errors import KitError
from kfpkit.core.versions import version
from kfpkit.kfp.states import FINAL
from kfpkit.kfp.target import BUILT
from kfpkit.kube.health import PART
from kfpkit.kube.render import images, pod_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kfpkit.kfp.target import Target

PIPELINES, METADATA = "mlpipeline", "metadb"
DATABASES = (PIPELINES, METADATA)

#: Appended to a database's name while it is loaded, and to that which it replaced.
LOADING, BEFORE = "_loading", "_before"

#: `Artifact.State.DELETED` of ML Metadata: its file was pruned.
DELETED = 4

#: Seconds that a question may take.
PATIENCE = 1000.0

#: Seconds until the database's pod, or that which reaches it, is ready.
STARTING = 600

#: Held while a dump is loaded and put into use; ends in an error where it is held for too long.
LOCK = 'SELECT IF(GET_LOCK("kfpkit", 900) = 1, 1, (SELECT 1 UNION SELECT 2));'

#: Last line of a dump that is whole.
COMPLETE = b"-- Dump completed"

#: The pod that reaches a database outside the cluster.
CLIENT = "database-client"

#: Bytes of the largest row that a client takes.
PACKET = 1 << 30

#: Begins every script that asks MariaDB, in whichever pod or container: `db PROGRAM [OPTION]...`
#: connects one. The password goes from the environment to the program's own.
SHELL = (
    'set -euo pipefail; export MYSQL_PWD="${DB_PASSWORD:-${MARIADB_ROOT_PASSWORD:-}}"; '
    'db() { "$@" --host="${DB_HOST:-127.0.0.1}" ${DB_PORT:+"--port=$DB_PORT"} '
    '--user="${DB_USERNAME:-root}" --default-character-set=utf8mb4 '
    f"--max-allowed-packet={PACKET}; }}; "
)

#: A query whose every row is one JSON value; and before `db`, the account of KFP's components in
#: the database's own pod, or a password that is the first line of the standard input.
QUERY = "db mariadb --batch --raw --skip-column-names"
AS_COMPONENT = 'DB_USERNAME="$MARIADB_USER" MYSQL_PWD="$MARIADB_PASSWORD" '
WITH_PASSWORD = "IFS= read -r MYSQL_PWD; "  # noqa: S105 - a script


def metadata_text(column: str) -> str:
    """Return SQL for a text of ML Metadata, as ML Metadata itself gives it.

    It says that its connection is in latin1, and sends UTF-8: the server turns each byte into a
    character of its own.
    """
    return f"CONVERT(CAST(CONVERT({column} USING latin1) AS BINARY) USING utf8mb4)"


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that has not ended."""

    id: str
    name: str
    state: str


class Database:
    """The database server of an installation."""

    def __init__(self, target: Target) -> None:
        self._target = target

    @property
    def embedded(self) -> bool:
        """Whether the overlay installs it."""
        kinds = {d["kind"] for d in self._target.documents if d["metadata"]["name"] == "database"}
        return "StatefulSet" in kinds

    @property
    def answers(self) -> bool:
        """Whether it can be asked: a dry run makes no pod that reaches one outside the cluster."""
        return not process.dry_run() or self._target.inside or self.embedded

    def argv(self, script: str) -> list[str]:
        """Return the command that runs a shell script in the pod; `db PROGRAM` connects."""
        command = ["bash", "-c", SHELL + script]
        if self._target.inside:
            return command
        pod = "database-0" if self.embedded else CLIENT
        return self._target.argv("exec", "--stdin", pod, "--container=mariadb", "--", *command)

    def rows(self, sql: str, account: str = "") -> list[Any]:
        """Return what a query gives, whose every row is one JSON value (`JSON_ARRAY(…)`).

        Args:
            sql: The query.
            account: `AS_COMPONENT` to ask as KFP's components do; default root.
        """
        answer = process.query(self.argv(account + QUERY), stdin=sql, timeout=PATIENCE).stdout
        return read(answer)

    def execute(self, sql: str) -> None:
        """Run statements that change something; they are printed."""
        argv = self.argv("db mariadb --batch")
        console.say("\n".join(f"> {row}" for row in sql.splitlines()))
        process.run(argv, stdin=sql)

    def dump(self, to: Path) -> None:
        """Write both databases, as they are at one moment, to a file compressed with gzip.

        Nothing is locked: runs go on.
        """
        options = "--single-transaction --quick --hex-blob --databases"
        argv = self.argv(f"db mariadb-dump {options} {' '.join(DATABASES)} | gzip")
        with to.open("wb") as file:
            process.run(argv, stdout_to=file)
        if not process.dry_run():
            require_complete(to)

    def load(self, dump: Path) -> None:
        """Load a dump beside the databases in use."""
        names = "|".join(DATABASES)
        # Statements begin a line, and no value of a row does: mariadb-dump writes its ends as \n.
        rename = f"s/^(USE|CREATE DATABASE) (.*)`({names})`/\\1 \\2`\\3{LOADING}`/"
        first = [LOCK, *(f"DROP DATABASE IF EXISTS `{d}{LOADING}`;" for d in DATABASES)]
        # The server's own limit is for rows as KFP writes them; in a dump they are longer.
        packet = "SET GLOBAL max_allowed_packet ="
        script = (
            'before=$(db mariadb -Ne "SELECT @@global.max_allowed_packet"); '
            f'db mariadb -e "{packet} {PACKET}" && '
            f"trap 'db mariadb -e \"{packet} $before\"' EXIT; "
            f"(echo '{' '.join(first)}'; gzip -dc | sed -E '{rename}') | db mariadb"
        )
        with dump.open("rb") as file:
            process.run(self.argv(script), stdin_from=file)

    def settle(self) -> None:
        """Wait for what a command that was killed has left to the server to finish."""
        self.rows(LOCK)

    def loaded(self) -> bool:
        """Whether loaded databases wait to take the place of those in use."""
        return bool(self._tables(LOADING))

    def swap(self) -> None:
        """Put the loaded databases in the place of those in use: all tables in one statement."""
        old, new = self._tables(""), self._tables(LOADING)
        if not new:
            raise KitError("no loaded database waits to take the place of that in use")
        moves = [f"`{d}`.`{t}` TO `{d}{BEFORE}`.`{t}`" for d, t in old]
        moves += [f"`{d}{LOADING}`.`{t}` TO `{d}`.`{t}`" for d, t in new]
        lines = [LOCK, "SET SESSION foreign_key_checks = 0;"]
        for name in DATABASES:
            lines.append(f"DROP DATABASE IF EXISTS `{name}{BEFORE}`;")
            lines.append(f"CREATE DATABASE `{name}{BEFORE}`;")
        self.execute("\n".join([*lines, "RENAME TABLE", ",\n".join(moves) + ";"]))
        self.execute("\n".join(f"DROP DATABASE `{d}{LOADING}`;" for d in DATABASES))

    def unfinished(self) -> list[UnfinishedRun]:
        """Return the runs that have not ended."""
        states = ", ".join(f"'{state}'" for state in FINAL)
        sql = (
            "SELECT JSON_ARRAY(UUID, DisplayName, COALESCE(State, Conditions)) FROM "
            f"{PIPELINES}.run_details WHERE COALESCE(State, '') NOT IN ({states});"
        )
        return [UnfinishedRun(*row) for row in self.rows(sql)]

    def runs(self) -> int:
        """Return how many runs the database has; none where it has no tables yet."""
        if (PIPELINES, "run_details") not in self._tables(""):
            return 0
        ((count,),) = self.rows(f"SELECT JSON_ARRAY(COUNT(*)) FROM {PIPELINES}.run_details;")
        return int(count)

    def columns(self, name: str, suffix: str = "") -> Iterable[str]:
        """Return the tables of the pipelines' database that have a column of this name."""
        sql = (
            "SELECT JSON_ARRAY(TABLE_NAME) FROM information_schema.COLUMNS "
            f"WHERE TABLE_SCHEMA = '{PIPELINES}{suffix}' AND COLUMN_NAME = '{name}';"
        )
        return [table for (table,) in self.rows(sql)]

    def _tables(self, suffix: str) -> list[tuple[str, str]]:
        """Return database (without its suffix) and name of each table."""
        names = ", ".join(f"'{name}{suffix}'" for name in DATABASES)
        sql = (
            "SELECT JSON_ARRAY(TABLE_SCHEMA, TABLE_NAME) FROM information_schema.TABLES "
            f"WHERE TABLE_SCHEMA IN ({names}) ORDER BY 1;"
        )
        return [(schema.removesuffix(suffix), table) for schema, table in self.rows(sql)]


@contextlib.contextmanager
def reached(target: Target, *, starting: int = STARTING) -> Iterator[Database]:
    """Yield the database of an installation, with the pod that reaches it where one is needed.

    A dry run only prints that pod: look at `Database.answers` before a question.

    Args:
        target: Which installation.
        starting: Seconds until the database's pod, or that which reaches it, is ready.

    Raises:
        KitError: The pod does not start.
    """
    database = Database(target)
    if target.inside:
        yield database
        return
    if database.embedded:
        target.query("rollout", "status", "statefulset/database", f"--timeout={starting}s")
        yield database
        return
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": client(target)})
    target.run("apply", "--filename", "-", stdin=text)
    try:
        target.run("wait", "--for=condition=Ready", f"pod/{CLIENT}", f"--timeout={starting}s")
        yield database
    finally:
        target.run("delete", "--filename", "-", stdin=text)


def client(target: Target) -> list[dict[str, Any]]:
    """Return a pod with the database's programs, and the policies by which it reaches it.

    It is told of the database what the metadata server is told.
    """
    (metadata,) = [
        d
        for d in target.documents
        if d["kind"] == "Deployment" and d["metadata"]["name"] == "metadata-grpc"
    ]
    env = [e for e in pod_spec(metadata)["containers"][0]["env"] if e["name"].startswith("DB_")]
    built = any(image.startswith(BUILT) for image in images(target.documents))
    image = f"{BUILT}mariadb:{version('MARIADB_VERSION')}"
    if not built:
        image = f"docker.io/library/mariadb:{version('UPSTREAM_MARIADB_VERSION')}"
    mine = {"matchLabels": {PART: CLIENT}}
    servers = {"key": PART, "operator": "In", "values": ["database", "cloud-sql-proxy"]}
    container = {
        "name": "mariadb",
        "image": os.environ.get("KFPKIT_CLIENT_IMAGE", image),
        "command": ["sleep", "infinity"],
        "env": env,
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "activeDeadlineSeconds": 86400,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 999,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    out = {"podSelector": mine, "policyTypes": ["Egress"], "egress": [{}]}
    into = {
        "podSelector": {"matchExpressions": [servers]},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": mine}], "ports": [{"port": 3306}]}],
    }
    policy = ("networking.k8s.io/v1", "NetworkPolicy")
    return [
        {"apiVersion": version_, "kind": kind, "metadata": {"name": name, **more}, "spec": spec}
        for (version_, kind), name, more, spec in (
            (policy, CLIENT, {}, out),
            (policy, f"{CLIENT}-in", {}, into),
            (("v1", "Pod"), CLIENT, {"labels": mine["matchLabels"]}, pod),
        )
    ]


def read(answer: str) -> list[Any]:
    """Return the rows of an answer of which each is one JSON value.

    MariaDB escapes control characters alone, so a row may hold what else Python ends a line at.
    """
    return [json.loads(row) for row in answer.split("\n") if row]


def require_complete(dump: Path) -> None:
    """Raise unless a dump can be read to its end and has both databases."""
    seen, last = set(), b""
    try:
        with gzip.open(dump) as file:
            for line in file:
                seen |= {name for name in DATABASES if line.startswith(f"USE `{name}`".encode())}
                last = line if line.strip() else last
    except (OSError, EOFError) as error:
        raise KitError(f"{dump} is no whole dump: {error}") from error
    if seen != set(DATABASES) or not last.startswith(COMPLETE):
        raise KitError(f"{dump} is no whole dump of {' and '.join(DATABASES)}")


def quoted(value: str) -> str:
    """Return a text as SQL, or raise: only identifiers and names of Kubernetes objects pass."""
    if not value or not all(c.isalnum() or c in "-._" for c in value):
        raise KitError(f"{value!r} is no name of a Kubernetes object")
    return f"'{value}'"
