"""The proof of a backup loads its dump into a database."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.errors import KitError
from kfpkit.operations.backup import verify
from kfpkit.operations.backup.manifest import read, write
from tests.support.backups import DUMP
from tests.support.dumps import with_dump

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def mariadb() -> None:
    if verify.server() is None:
        pytest.skip("the Docker engine has no image of MariaDB")


@pytest.mark.docker
@pytest.mark.usefixtures("mariadb")
def test_a_backup_that_fits_together_is_proved(
    backup: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify.verify(backup)
    said = capsys.readouterr().err
    assert "the dump loads into MariaDB" in said
    assert "warning" not in said


@pytest.mark.docker
@pytest.mark.usefixtures("mariadb")
def test_a_dump_that_does_not_load_is_refused(backup: Path) -> None:
    with_dump(backup, gzip.compress(DUMP.replace("INSERT INTO jobs", "INSERT INTO jbs").encode()))
    with pytest.raises(KitError, match=r"mlpipeline\.jbs' doesn't exist"):
        verify.verify(backup)


@pytest.mark.docker
@pytest.mark.usefixtures("mariadb")
def test_an_artifact_that_the_dump_names_and_the_backup_lacks_is_named(backup: Path) -> None:
    manifest = read(backup)
    del manifest.artifacts["v2/artifacts/penguins/1/train/model"]
    write(manifest, backup)
    with pytest.raises(KitError, match="penguins/1/train/model has no object"):
        verify.verify(backup)


@pytest.mark.docker
@pytest.mark.usefixtures("mariadb")
def test_what_is_loaded_is_read_in_every_character(tmp_path: Path) -> None:
    """Else an artifact whose file is named so would count as lost."""
    command = verify.server()
    assert command
    dump = tmp_path / "dump.gz"
    dump.write_bytes(gzip.compress(b""))
    with dump.open("rb") as file:
        said = process.query(
            [*command, "SELECT CONVERT(0xF09F90A7 USING utf8mb4)"], stdin_from=file
        )
    assert said.stdout == "🐧\n"
