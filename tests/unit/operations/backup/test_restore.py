"""What a restore refuses, and the SQL by which a dump becomes true in another place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import kubernetes_validate
import pytest

from kfpkit.core.errors import BadInputError, KitError
from kfpkit.core.versions import ROOT
from kfpkit.kfp.database import Database, client
from kfpkit.kfp.target import Target
from kfpkit.operations.backup import restore
from kfpkit.operations.backup.manifest import read

if TYPE_CHECKING:
    from pathlib import Path


def test_a_backup_of_the_same_release_and_bucket_fits(backup: Path) -> None:
    restore.require_fit(read(backup), Target("kind-packages", "nowhere", "kubectl"))


def test_a_newer_release_that_takes_the_data_over_fits(backup: Path) -> None:
    restore.require_fit(read(backup), Target("kind", "nowhere", "kubectl"))


@pytest.mark.parametrize("release", ["2.17.0", "2.5.0", "3.0.0"])
def test_another_release_is_refused(backup: Path, release: str) -> None:
    manifest = replace(read(backup), release=release)
    with pytest.raises(BadInputError, match=rf"release {release}, the overlay kind-packages"):
        restore.require_fit(manifest, Target("kind-packages", "nowhere", "kubectl"))


def test_another_bucket_is_refused(backup: Path) -> None:
    manifest = replace(read(backup), bucket="other")
    with pytest.raises(BadInputError, match="the bucket other"):
        restore.require_fit(manifest, Target("kind-packages", "nowhere", "kubectl"))


def test_only_runs_under_way_change_where_the_namespace_is_the_same(backup: Path) -> None:
    sql = restore.adapted(read(backup), "kubeflow", ["run_details"])
    assert sql.count("UPDATE") == 1
    assert "SET State = 'FAILED'" in sql


def test_every_table_with_a_namespace_follows_into_another_one(backup: Path) -> None:
    sql = restore.adapted(read(backup), "other", ["jobs", "tasks"])
    for table in ("jobs", "tasks"):
        assert f"mlpipeline_loading.{table} SET Namespace = 'other' WHERE" in sql


@pytest.mark.parametrize("name", ["", "a'b", "a b", "a;b", "a\\"])
def test_only_names_get_into_sql(name: str) -> None:
    with pytest.raises(KitError, match="is no name"):
        restore.renamed(name, "other")


@pytest.mark.parametrize("overlay", ["gke", "tests/support/combinations/external-stores"])
def test_the_pod_that_reaches_a_database_outside_is_one_that_kubernetes_takes(
    overlay: str,
) -> None:
    name = overlay if "/" not in overlay else str(ROOT / overlay)
    target = Target(name, "nowhere", "kubectl")
    assert not Database(target).embedded
    items = client(target)
    for item in items:
        kubernetes_validate.validate(item, "1.34", strict=True)
    (pod,) = [item for item in items if item["kind"] == "Pod"]
    names = {variable["name"] for variable in pod["spec"]["containers"][0]["env"]}
    assert names == {"DB_HOST", "DB_PORT", "DB_USERNAME", "DB_PASSWORD"}


def test_the_second_installation_of_the_tests_renders() -> None:
    folder = str(ROOT / "tests/support/other-namespace")
    assert Target(folder, "nowhere", "kubectl").namespace == "kfp-restored"
