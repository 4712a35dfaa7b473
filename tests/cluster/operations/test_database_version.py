"""From an older MariaDB of Debian's to the newest one, with everything in it; and back."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from kfpkit.core import process
from kfpkit.core.versions import version
from kfpkit.images import builder, recipe
from kfpkit.kfp.database import Database
from kfpkit.kfp.target import choose
from kfpkit.operations.backup import inventory
from kfpkit.operations.upgrade import phases
from tests.support.history import lacking, seed
from tests.support.installation import Wanted, installed, onto_nodes, run, write_overlay
from tests.support.pipelines.hello import hello

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.long, pytest.mark.timeout(2400)]

WANTED = Wanted("kfp-database")

OLDER = "kfpkit/mariadb:older"

#: Lists what Debian offers: package, version, where.
OFFERED = "apt-get update --quiet=2 && apt-cache madison mariadb-server-core"


@pytest.fixture(scope="module")
def older(cluster: str) -> str:
    """The version of a MariaDB before the one that is built, whose image is on the nodes."""
    del cluster
    base = recipe.load(recipe.IMAGES / "debian")
    builder.ensure(["debian"], load=["debian"])
    shell = ["docker", "run", "--rm", "--user=0:0", base.references[0], "bash", "-c", OFFERED]
    found = re.findall(r"\| 1:(\S+) \|", process.query(shell, timeout=300).stdout)
    if len(set(found)) < 2:
        pytest.skip(f"Debian offers no second MariaDB beside {found}")
    oldest = str(min(found, key=numbers))
    given = {"DEBIAN": base.references[0], "SERIES": oldest}
    arguments = [text for pair in given.items() for text in ("--build-arg", "=".join(pair))]
    argv = ["docker", "build", *arguments, "--tag", OLDER, str(recipe.IMAGES / "mariadb")]
    process.query(argv, env={**os.environ, "DOCKER_BUILDKIT": "0"}, timeout=900)
    onto_nodes([OLDER])
    return oldest.partition("-")[0]


@pytest.fixture(scope="module")
def old(
    older: str, cluster: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Target, str]]:
    """An installation with the older one, and its version."""
    name = f"kfpkit/mariadb:{version('MARIADB_VERSION')}"
    image = {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": OLDER}
    patch = {
        "target": {"kind": "StatefulSet", "name": "database"},
        "patch": yaml.safe_dump([image]),
    }
    wanted = replace(WANTED, patches=(patch,))
    with installed(tmp_path_factory.mktemp("old"), cluster, wanted) as target:
        assert name not in str(target.documents)
        seed(target)
        yield target, older


def numbers(text: str) -> list[int]:
    """Return what versions are compared by."""
    return [int(part) for part in re.findall(r"\d+", text)]


def served(target: Target) -> str:
    """Return the version of the server that answers."""
    ((text,),) = Database(target).rows("SELECT JSON_ARRAY(VERSION());")
    return str(text).partition("-")[0]


def test_everything_outlives_another_version_of_the_database_and_the_way_back(
    old: tuple[Target, str], tmp_path: Path
) -> None:
    there, oldest = old
    assert served(there) == oldest
    (folder := tmp_path / "overlay").mkdir()
    write_overlay(folder, WANTED, choose(context=there.context).overlay)
    new = replace(there, overlay=str(folder))
    before = inventory.take(there)

    phases.upgrade(new, "", tmp_path, confirm=lambda _: True, wait=60, timeout=900)
    assert served(new) != oldest
    assert lacking(new, before) == []
    run(new, hello, {"name": "after"})

    phases.rollback(new, tmp_path, confirm=lambda _: True, timeout=900)
    assert served(there) == oldest
    assert lacking(there, before) == []
    run(there, hello, {"name": "after all"})
