# ruff: noqa: S608 - SQL made of the kit's own names
"""Upgrades of an installation of its own: whole, killed in each phase, taken back."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
import yaml

from kfpkit.core.errors import KitError
from kfpkit.kfp.database import PIPELINES, Database
from kfpkit.kfp.releases import release
from kfpkit.kfp.target import choose
from kfpkit.operations import journal
from kfpkit.operations.backup import inventory, parts
from kfpkit.operations.journal import Phase
from kfpkit.operations.upgrade import phases, plan
from kfpkit.operations.upgrade.applied import applied
from tests.support.backup_runs import api, killed
from tests.support.history import MORE_ENV, lacking, seed
from tests.support.installation import Wanted, installed, run, write_overlay
from tests.support.pipelines.hello import hello

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.long, pytest.mark.timeout(2400)]

WANTED = Wanted("kfp-upgrade")

#: Changes of configuration: of the API server, of another part, and an object more.
CHANGED = replace(
    WANTED,
    options=("retention",),
    parameters={"keepLogsDays": "365"},
    patches=(
        MORE_ENV,
        {
            "target": {"kind": "Deployment", "name": "persistence-agent"},
            "patch": yaml.safe_dump(
                [
                    {
                        "op": "replace",
                        "path": "/spec/template/spec/containers/0/resources/requests/memory",
                        "value": "65Mi",
                    }
                ]
            ),
        },
    ),
)

#: What is killed in each phase: as soon as this is printed.
SAID = {
    "plan": "plan: ",
    Phase.DRAIN: "annotate deployment/scheduled-workflow",
    Phase.BACKUP: "mariadb-dump",
    Phase.MIGRATE: "apply --server-side --filename",
    Phase.VERIFY: "verify: ",
    Phase.RESUME: "resume: ",
}

upgrade = partial(phases.upgrade, confirm=lambda _: True, wait=60, timeout=900)
rollback = partial(phases.rollback, confirm=lambda _: True, timeout=900)


@pytest.fixture(scope="module")
def old(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """An installation with a run and a recurring run."""
    with installed(tmp_path_factory.mktemp("old"), cluster, WANTED) as target:
        seed(target)
        yield target


@pytest.fixture(scope="module")
def changed(old: Target, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """The same with another configuration."""
    folder = tmp_path_factory.mktemp("changed")
    write_overlay(folder, CHANGED, choose(context=old.context).overlay)
    return replace(old, overlay=str(folder))


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backups")


@pytest.fixture
def ways(old: Target, changed: Target) -> tuple[Target, Target]:
    """What is installed, and what is not."""
    return (changed, old) if has_change(old) else (old, changed)


def has_change(target: Target) -> bool:
    """Whether the changed configuration is in use; all of it or nothing."""
    objects = applied(target)
    found = {
        "KFPKIT_CHANGED" in json.dumps(objects),
        "65Mi" in json.dumps(objects),
        bool(target.items(["cronjobs"])),
    }
    assert len(found) == 1, found
    return found.pop()


def require_quiet(target: Target) -> None:
    """Fail where a part is held or away."""
    for item in target.items(["deployments"]):
        assert item["status"].get("readyReplicas") == 1, item["metadata"]["name"]
        assert parts.HELD not in item["metadata"].get("annotations", {})


def killed_in(phase: str, target: Target, backups: Path) -> None:
    killed(target, SAID[phase], "upgrade", "--backups", str(backups))
    noted = journal.read(target)
    assert (noted.phase if noted and noted.phase is not Phase.DONE else "plan") == phase


def test_a_dry_run_prints_the_plan_and_the_commands_and_changes_nothing(
    ways: tuple[Target, Target],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, to = ways
    before = applied(to)
    monkeypatch.setattr("kfpkit.core.process._dry_run", True)
    upgrade(to, "", tmp_path / "backups")
    monkeypatch.setattr("kfpkit.core.process._dry_run", False)
    said = capsys.readouterr().err
    for line in (
        "plan: {0} to {0}".format(release(to.documents)),
        "changed  Deployment/ml-pipeline",
        "KFPKIT_CHANGED",
        "CronJob/",
        "runs under way: none",
        "scale deployment/scheduled-workflow --replicas=0",
        "mariadb-dump",
        "upgrade.yaml",
        "scale deployment/ml-pipeline --replicas=1",
    ):
        assert line in said
    assert applied(to) == before
    assert not list(tmp_path.iterdir())


def test_what_is_installed_already_needs_no_upgrade(
    ways: tuple[Target, Target], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, _ = ways
    upgrade(there, release(there.documents), tmp_path)
    assert "nothing to do" in capsys.readouterr().err


def test_a_name_that_the_next_release_has_no_room_for_stops_it(old: Target) -> None:
    name = "n" * 129
    with api(old) as client:
        made = client.create_experiment(name)
        assert list(plan.preflight(Database(old))) == [
            "1 values of experiments.Name are longer than 128 characters"
        ]
        client.delete_experiment(made.experiment_id)
    assert list(plan.preflight(Database(old))) == []


def test_the_applied_objects_are_those_of_the_overlay(old: Target, changed: Target) -> None:
    wanted = changed if has_change(old) else old
    names = {(d["kind"], d["metadata"]["name"]) for d in wanted.documents}
    assert {(d["kind"], d["metadata"]["name"]) for d in applied(old)} == names


def test_an_upgrade_that_is_killed_in_each_phase_goes_on_from_there(
    ways: tuple[Target, Target], backups: Path
) -> None:
    there, to = ways
    before = inventory.take(there)
    was = has_change(there)
    for phase in SAID:
        killed_in(phase, to, backups)
    upgrade(to, "", backups)
    assert has_change(to) != was
    assert lacking(to, before) == []
    require_quiet(to)


@pytest.mark.parametrize("phase", [Phase.BACKUP, Phase.MIGRATE])
def test_an_upgrade_that_was_killed_is_taken_back(
    phase: Phase, ways: tuple[Target, Target], backups: Path
) -> None:
    there, to = ways
    before = inventory.take(there)
    was = has_change(there)
    killed_in(phase, to, backups)
    rollback(there, backups)
    assert has_change(there) == was
    assert lacking(there, before) == []
    assert journal.read(there) is None
    require_quiet(there)


def test_a_rollback_that_was_killed_goes_on_and_nothing_else_does(
    ways: tuple[Target, Target], backups: Path
) -> None:
    there, to = ways
    before = inventory.take(there)
    was = has_change(there)
    killed_in(Phase.VERIFY, to, backups)
    killed(there, "gzip -dc", "rollback", "--backups", str(backups))
    with pytest.raises(KitError, match="a rollback is under way"):
        upgrade(to, "", backups)
    rollback(there, backups)
    assert has_change(there) == was
    assert lacking(there, before) == []
    require_quiet(there)


# A StatefulSet's pod that is not ready must give way to the next one as a Deployment's does.
@pytest.mark.parametrize(
    ("image", "part"), [("kfp-api-server", "ml-pipeline"), ("mariadb", "database")]
)
def test_an_upgrade_to_an_image_that_cannot_be_had_says_where_it_stands_and_is_mended(
    ways: tuple[Target, Target],
    backups: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    image: str,
    part: str,
) -> None:
    there, to = ways
    like = choose(context=to.context).overlay
    write_overlay(tmp_path, WANTED if has_change(there) else CHANGED, like)
    kustomization = yaml.safe_load((tmp_path / "kustomization.yaml").read_text())
    kustomization["images"] = [{"name": f"kfpkit/{image}", "newName": "registry.invalid/missing"}]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    before = inventory.take(there)
    with monkeypatch.context() as patched:
        patched.setattr("kfpkit.operations.installation.PATIENCE", 30.0)
        patched.setattr("kfpkit.operations.installation.built_images", lambda _: [])
        with pytest.raises(KitError, match=rf"{part} does not start: .*image"):
            upgrade(replace(to, overlay=str(tmp_path)), "", backups)
    assert "stands at migrate" in capsys.readouterr().err
    upgrade(to, "", backups)
    assert lacking(to, before) == []
    require_quiet(to)


def test_runs_after_an_upgrade_are_gone_once_it_is_taken_back(
    ways: tuple[Target, Target], backups: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, to = ways
    before = inventory.take(there)
    upgrade(to, "", backups)
    assert "2 of 2 steps from the cache" in capsys.readouterr().err
    later = run(to, hello, {"name": "after"})
    rollback(there, backups)
    assert lacking(there, before) == []
    sql = f"SELECT JSON_ARRAY(COUNT(*)) FROM {PIPELINES}.run_details WHERE UUID = '{later}';"
    assert Database(there).rows(sql) == [[0]]
    require_quiet(there)
