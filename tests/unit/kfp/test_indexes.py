"""Indexes that the kit adds to KFP's tables."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from kfpkit.core import process
from kfpkit.core.errors import CommandError, KitError
from kfpkit.kfp import indexes
from kfpkit.kfp.indexes import INDEXES, TABLES, THERE, ensure, missing
from kfpkit.kfp.target import choose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.kfp.indexes import Index

#: As KFP makes them, and one of somebody else.
TABLES_OF_KFP = [["run_details"], ["tasks"]]
INDEXES_OF_KFP = [
    ["run_details", "UUID"],
    ["run_details", "ExperimentUUID,CreatedAtInSec"],
    ["tasks", "RunUUID"],
]


@dataclass
class Database:
    """Answers with what is there, and keeps what it is to do."""

    tables: list[list[str]]
    there: list[list[str]]
    refusal: KitError | None = None
    ran: list[str] = field(default_factory=list)

    def rows(self, sql: str) -> list[Any]:
        return {TABLES: self.tables, THERE: self.there}[sql]

    def execute(self, sql: str) -> None:
        if self.refusal:
            raise self.refusal
        self.ran.append(sql)


def run_ensure(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    @contextlib.contextmanager
    def reached(*_: object, **__: object) -> Iterator[Database]:
        yield database

    monkeypatch.setattr(indexes, "reached", reached)
    ensure(choose("gke", context="mine"))


def missed(database: Database) -> list[Index]:
    return missing(cast("Any", database))


def test_all_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(TABLES_OF_KFP, INDEXES_OF_KFP)
    run_ensure(monkeypatch, database)
    assert database.ran == [index.sql for index in INDEXES]

    database.there = INDEXES_OF_KFP + [[i.table, ",".join(i.columns)] for i in INDEXES]
    run_ensure(monkeypatch, database)
    assert len(database.ran) == len(INDEXES)


def test_what_is_there_under_another_name_is_not_made_again() -> None:
    one = INDEXES[0]
    there = [*INDEXES_OF_KFP, [one.table, ",".join(one.columns)]]
    assert missed(Database(TABLES_OF_KFP, there)) == list(INDEXES[1:])


def test_a_table_that_is_not_there_yet_misses_none() -> None:
    assert missed(Database([["tasks"]], [])) == [i for i in INDEXES if i.table == "tasks"]
    assert not missed(Database([], []))


def test_reads_and_writes_go_on_and_nobody_waits_for_long() -> None:
    for index in INDEXES:
        assert index.sql.startswith("SET SESSION lock_wait_timeout = 10;")
        assert index.sql.endswith("ALGORITHM=INPLACE, LOCK=NONE;")
        assert len(index.name) <= 64


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (
            CommandError(
                "kubectl exec",
                1,
                "ERROR 1142 (42000) at line 2: ALTER command denied to user 'kfp'@'%' for table "
                "`mlpipeline`.`tasks`\ncommand terminated with exit code 1\n",
            ),
            "ALTER command denied to user 'kfp'",
        ),
        (KitError("pod/database-client: not ready", "look at it"), "pod/database-client"),
    ],
)
def test_a_refusal_is_one_line_and_no_error(
    refusal: KitError,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_ensure(monkeypatch, Database(TABLES_OF_KFP, INDEXES_OF_KFP, refusal))
    said = " ".join(capsys.readouterr().err.split())
    assert reason in said
    assert "exit code" not in said
    assert "make install tries again" in said


def test_a_dry_run_asks_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: object, **__: object) -> None:
        pytest.fail("asked")

    monkeypatch.setattr(indexes, "reached", reached)
    process.set_dry_run(True)
    try:
        ensure(choose("gke", context="mine"))
    finally:
        process.set_dry_run(False)
