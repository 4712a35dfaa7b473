"""The two databases: asked, dumped and loaded by the programs in the database's own pod.

A dump is loaded beside the databases that are in use, and takes their place in one statement; those
that were in use stay under another name.
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

from kfpkit import console, process
from kfpkit.errors import BadInputError, KitError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kfpkit.backup.manifest import Run
    from kfpkit.install.target import Target

PIPELINES, METADATA = "mlpipeline", "metadb"
DATABASES = (PIPELINES, METADATA)

#: Appended to a database's name while it is loaded, and to that which it replaced.
LOADING, BEFORE = "_loading", "_before"

#: States that a run does not leave.
FINAL = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")

#: Seconds that a question may take.
PATIENCE = 1000.0

#: Held while a dump is loaded and put into use; ends in an error where it is held for too long.
LOCK = 'SELECT IF(GET_LOCK("kfpkit", 900) = 1, 1, (SELECT 1 UNION SELECT 2));'

#: Last line of a dump that is whole.
COMPLETE = b"-- Dump completed"

#: The password is in the pod's environment and goes from there to the program's.
_CLIENT = (
    'export MYSQL_PWD="$MARIADB_ROOT_PASSWORD"; set -euo pipefail; '
    'db() { "$@" --host=127.0.0.1 --user=root --default-character-set=utf8mb4 $ARGS; }; '
)


class Database:
    """The database server of an installation."""

    def __init__(self, target: Target) -> None:
        """Take the server that the overlay installs.

        Raises:
            BadInputError: The overlay has a database of another owner.
        """
        names = {d["metadata"]["name"] for d in target.documents if d["kind"] == "StatefulSet"}
        if "database" not in names:
            raise BadInputError(
                f"the database of the overlay {target.overlay} is yours, and the kit does not "
                "reach it",
                "docs/operate/backup.md says how to back it up beside the artifacts",
            )
        self._target = target

    def argv(self, script: str, *arguments: str) -> list[str]:
        """Return the command that runs a shell script in the pod; `db PROGRAM` connects."""
        text = _CLIENT.replace("$ARGS", " ".join(arguments)) + script
        return self._target.argv(
            "exec", "--stdin", "database-0", "--container=mariadb", "--", "bash", "-c", text
        )

    def rows(self, sql: str) -> list[Any]:
        """Return what a query gives, whose every row is one JSON value (`JSON_ARRAY(…)`)."""
        argv = self.argv("db mariadb", "--batch", "--raw", "--skip-column-names")
        said = process.query(argv, stdin=sql, timeout=PATIENCE).stdout
        return [json.loads(row) for row in said.splitlines()]

    def execute(self, sql: str) -> None:
        """Run statements that change something; they are printed."""
        argv = self.argv("db mariadb", "--batch")
        console.say("\n".join(f"> {row}" for row in sql.splitlines()))
        process.run(argv, stdin=sql)

    def dump(self, to: Path) -> None:
        """Write both databases, as they are at one moment, to a file compressed with gzip.

        Nothing is locked: runs go on.
        """
        argv = self.argv(
            "db mariadb-dump | gzip",
            "--single-transaction --quick --hex-blob --databases",
            *DATABASES,
        )
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
        script = f"(echo '{' '.join(first)}'; gzip -dc | sed -E '{rename}') | db mariadb"
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

    def unfinished(self, suffix: str = "") -> list[Run]:
        """Return the runs that have not ended."""
        from kfpkit.backup.manifest import Run

        states = ", ".join(f"'{state}'" for state in FINAL)
        sql = (
            "SELECT JSON_ARRAY(UUID, DisplayName, COALESCE(State, Conditions)) FROM "
            f"{PIPELINES}{suffix}.run_details WHERE COALESCE(State, '') NOT IN ({states});"
        )
        return [Run(*row) for row in self.rows(sql)]

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
