# ruff: noqa: S608 - SQL made of the kit's own names
"""From the release that is built from packages to the next one, where there are images of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from kfpkit.core import process
from kfpkit.core.versions import version
from kfpkit.images.source import Source
from kfpkit.kfp.database import PIPELINES, Database
from kfpkit.kfp.releases import release
from kfpkit.kfp.target import OVERLAYS, choose
from kfpkit.kube import render
from kfpkit.operations.backup import inventory
from kfpkit.operations.backup.manifest import NAME
from kfpkit.operations.backup.restore import restore
from kfpkit.operations.upgrade import phases, plan
from tests.support.backup_runs import api
from tests.support.history import MORE_ENV, lacking, seed
from tests.support.installation import Wanted, installed, onto_nodes, run, write_overlay
from tests.support.pipelines.hello import hello
from tests.support.skips import NO_NEXT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.long, pytest.mark.timeout(3600)]

WANTED = Wanted("kfp-next")

#: The overlay that can be had everywhere.
PACKAGES = OVERLAYS[Source.PACKAGES]

TO, ARGO = version("KFP_RELEASE"), version("ARGO_RELEASE")

#: Images whose upstream names take the place of ours; the others stay as they are built here.
KFP = ("api-server", "persistence-agent", "scheduled-workflow-controller", "driver", "launcher")
NEXT = {f"kfpkit/kfp-{name}": f"ghcr.io/kubeflow/kfp-{name}:{TO}" for name in KFP} | {
    "kfpkit/argo-workflow-controller": f"quay.io/argoproj/workflow-controller:{ARGO}",
    "kfpkit/argoexec": f"quay.io/argoproj/argoexec:{ARGO}",
}


@pytest.fixture(scope="module")
def images(cluster: str) -> None:
    """The images on the nodes of the cluster, from the Docker engine of this machine."""
    like = choose(context=cluster)
    if like.overlay != PACKAGES:
        pytest.skip(f"{NO_NEXT} than what the overlay {like.overlay} installs")
    for image in NEXT.values():
        if not process.query(["docker", "image", "inspect", image], check=False).ok:
            pytest.skip(f"{NO_NEXT}: the Docker engine has no {image}")
    onto_nodes(NEXT.values())


@pytest.fixture(scope="module")
def old(images: None, cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """An installation of the release before, with a run, a version and a recurring run."""
    del images
    with installed(tmp_path_factory.mktemp("old"), cluster, WANTED) as target:
        seed(target)
        yield target


def in_next(old: Target, wanted: Wanted, folder: Path) -> Target:
    """Return an overlay that takes the next release, with those images of it that there are."""
    write_overlay(folder, wanted, PACKAGES)
    names = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "images": [
            {"name": name, "newName": image.rpartition(":")[0]} for name, image in NEXT.items()
        ],
    }
    (folder / "names").mkdir()
    (folder / "names" / "kustomization.yaml").write_text(yaml.safe_dump(names))
    overlay = yaml.safe_load((folder / "kustomization.yaml").read_text())
    before = release(old.documents)
    *others, packages = (
        path.replace(f"releases/{before}", f"releases/{TO}") for path in overlay["components"]
    )
    strings = packages.replace("/packages", "/strings")
    overlay["components"] = [*others, f"{packages}/names", "names", strings]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay, sort_keys=False))
    target = replace(old, overlay=str(folder))
    assert set(NEXT.values()) <= render.images(target.documents)
    return target


@pytest.fixture(scope="module")
def new(old: Target, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """The next release in the place of the old one."""
    return in_next(old, WANTED, tmp_path_factory.mktemp("next"))


def test_everything_outlives_the_next_release_and_the_way_back(
    old: Target, new: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = inventory.take(old)
    phases.upgrade(new, TO, tmp_path, confirm=lambda _: True, wait=60, timeout=1800)
    said = capsys.readouterr().err
    assert f"plan: {release(old.documents)} to {TO}" in said
    assert "0 of 2 steps from the cache" in said
    assert "canary: 2 steps, from the cache" in said
    assert lacking(new, before) == []
    for table, columns in plan.LENGTHS.items():
        for column, most in columns.items():
            assert length(new, table, column) == most, f"{table}.{column}"
    later = run(new, hello, {"name": "after"})

    phases.rollback(new, tmp_path, confirm=lambda _: True, timeout=1800)
    assert lacking(old, before) == []
    assert length(old, "pipelines", "Name") == 255
    with api(old) as client:
        assert later not in {found.run_id for found in client.list_runs(page_size=100).runs}
    run(old, hello, {"name": "after all"})


def test_the_next_release_takes_a_backup_of_this_one_and_another_configuration(
    old: Target, new: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It also comes after a rollback, where the test above ran before."""
    before = inventory.take(old)
    phases.upgrade(new, TO, tmp_path, confirm=lambda _: True, wait=60, timeout=1800)
    later = run(new, hello, {"name": "to be lost"})
    (made,) = (file.parent for file in tmp_path.glob(f"*/{NAME}"))
    restore(new, made, confirm=lambda _: True, timeout=1800)
    assert lacking(new, before) == []
    with api(new) as client:
        assert later not in {found.run_id for found in client.list_runs(page_size=100).runs}
    run(new, hello, {"name": "after the backup"})

    before = inventory.take(new)
    capsys.readouterr()
    (folder := tmp_path / "changed").mkdir()
    changed = in_next(old, replace(WANTED, patches=(MORE_ENV,)), folder)
    phases.upgrade(changed, "", tmp_path, confirm=lambda _: True, wait=60, timeout=1800)
    said = capsys.readouterr().err
    assert f"plan: {TO} to {TO}" in said
    assert "after the upgrade: succeeded, 2 of 2 steps from the cache" in said
    assert lacking(changed, before) == []


def length(target: Target, table: str, column: str) -> int:
    ((characters,),) = Database(target).rows(
        "SELECT JSON_ARRAY(CHARACTER_MAXIMUM_LENGTH) FROM information_schema.COLUMNS WHERE "
        f"TABLE_SCHEMA = '{PIPELINES}' AND TABLE_NAME = '{table}' AND COLUMN_NAME = '{column}';"
    )
    return int(characters)
