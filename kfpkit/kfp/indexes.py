"""Indexes that KFP's own tables lack, for what the web UI, clients and drivers ask all the time.

Without them each of these questions reads a whole table, rows with their manifests. When its API
server starts, KFP adds what it misses of its own and leaves indexes that it does not know.
docs/design/growth.md has the questions, how they are answered, and the times.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import CommandError, KitError
from kfpkit.kfp.database import PIPELINES, reached

if TYPE_CHECKING:
    from kfpkit.kfp.database import Database
    from kfpkit.kfp.target import Target

#: Seconds that an index waits for transactions under way: all that come after it wait with it.
WAIT = 10

#: Seconds until the pod is ready that reaches a database outside the cluster.
STARTING = 120


@dataclass(frozen=True)
class Index:
    """An index over columns of a table."""

    table: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name in the database."""
        return f"kfpkit_{'_'.join(self.columns)}".lower()

    @property
    def sql(self) -> str:
        """The statements that make it while the table is read and written."""
        return (
            f"SET SESSION lock_wait_timeout = {WAIT};\n"
            f"ALTER TABLE {PIPELINES}.{self.table} ADD INDEX {self.name} "
            f"({', '.join(self.columns)}), ALGORITHM=INPLACE, LOCK=NONE;"
        )


INDEXES = (
    # A driver asks for the newest task with its fingerprint, and the API counts them.
    Index("tasks", ("Fingerprint", "CreatedTimestamp")),
    # Release 2.14.3 asks for a Workflow's pods whenever that Workflow is reported.
    Index("tasks", ("PodName",)),
    # The page of all runs, newest first.
    Index("run_details", ("CreatedAtInSec", "UUID")),
    # The page of archived runs; how many runs there are, archived or not, of all or of some name.
    Index("run_details", ("StorageState", "CreatedAtInSec", "UUID", "DisplayName")),
    # The same of one experiment.
    Index("run_details", ("ExperimentUUID", "StorageState", "CreatedAtInSec", "UUID")),
    # Release 2.17.0 asks whether a recurring run has started this run before.
    Index("run_details", ("JobUUID", "DisplayName")),
)

TABLES = (
    "SELECT JSON_ARRAY(TABLE_NAME) FROM information_schema.TABLES "
    f"WHERE TABLE_SCHEMA = '{PIPELINES}';"
)

#: Table and columns, with commas between, of each index.
THERE = (
    "SELECT JSON_ARRAY(TABLE_NAME, GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX)) "
    f"FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = '{PIPELINES}' "
    "GROUP BY TABLE_NAME, INDEX_NAME;"
)


def ensure(target: Target) -> None:
    """Make the indexes that are not there; runs go on meanwhile.

    KFP works without them, so a database that refuses them is told of, and no error.
    """
    if process.dry_run():
        return
    try:
        with reached(target, starting=STARTING) as database:
            for index in missing(database):
                console.say(f"index {index.name} on {index.table}, for long histories")
                began = time.monotonic()
                database.execute(index.sql)
                console.say(f"index {index.name} made in {time.monotonic() - began:.1f} s")
    except KitError as error:
        console.warn(
            f"the database did not get all indexes for long histories: {_reason(error)}; all works "
            "without them, slower as runs add up, and make install tries again"
        )


def missing(database: Database) -> list[Index]:
    """Return the indexes that are not there under any name, but those of tables yet to be made."""
    tables = {table for (table,) in database.rows(TABLES)}
    there = {(table, tuple(columns.split(","))) for table, columns in database.rows(THERE)}
    return [i for i in INDEXES if i.table in tables and (i.table, i.columns) not in there]


def _reason(error: KitError) -> str:
    """Return what the database has said, or else the error's first line."""
    said = error.stderr.splitlines() if isinstance(error, CommandError) else []
    lines = [line for line in said if line.startswith("ERROR")] or str(error).splitlines()
    return lines[0].rstrip(".")
