"""New passwords and keys: what is printed, what stops it, and that it works for real."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from kfpkit import cli
from kfpkit.core import process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import secrets
from kfpkit.kfp.target import Target
from kfpkit.kube import forward
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import rotate
from tests.support import installation, steps
from tests.support.installation import Wanted

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

READY = {
    "kind": "Deployment",
    "metadata": {"name": "ml-pipeline", "generation": 1},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"spec": {"containers": [{"image": "image:1"}]}},
    },
    "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1},
}
AWAY = {**READY, "status": {}}


class Answering(Target):
    """A target whose namespace holds what a test says, and that refuses to be changed."""

    there: list[dict[str, Any]]

    def items(self, kinds: Any, *_: str) -> list[dict[str, Any]]:
        return [item for item in self.there if item["kind"].lower() in "".join(kinds)]

    def query(self, *_: str, **__: Any) -> process.Result:
        return process.Result(0, "", "")

    def run(self, *arguments: str, **_: Any) -> process.Result:
        raise AssertionError(arguments)


def target(*there: dict[str, Any], overlay: str = "kind") -> Answering:
    made = Answering(overlay, "nowhere", "kubectl")
    object.__setattr__(made, "there", list(there))
    return made


def workflow(phase: str | None) -> dict[str, Any]:
    status = {"status": {"phase": phase}} if phase else {}
    return {"kind": "Workflow", "metadata": {"name": f"run-{phase}"}, **status}


def test_a_dry_run_prints_each_command_and_no_value() -> None:
    words = ("--overlay", "kind", "--context", "nowhere")
    done = CliRunner().invoke(cli.app, ["--dry-run", "rotate-secrets", *words])
    shown = done.output.replace("\n", " ")

    assert done.exit_code == 0, done.output
    steps = (
        "create --filename -",
        "exec --stdin database-0",
        "patch secret database-password",
        "patch secret mlpipeline-minio-artifact",
        "rollout restart statefulset/database statefulset/object-store",
        "rollout restart deployment/metadata-grpc deployment/ml-pipeline deployment/ml-pipeline-ui",
        f"delete secret {rotate.PENDING}",
    )
    places = [shown.index(step) for step in steps]
    assert places == sorted(places)
    assert not re.search(r"[0-9a-f]{20}", shown)


def test_a_run_under_way_stops_it_before_anything_has_changed() -> None:
    for phase in (None, "Pending", "Running"):
        busy = target(READY, workflow("Succeeded"), workflow(phase))
        with pytest.raises(BadInputError, match=f"under way: run-{phase}; nothing was changed"):
            rotate.rotate(busy, timeout=1, despite_runs=False)


def test_it_begins_when_told_to_in_spite_of_runs() -> None:
    busy = target(READY, workflow("Running"))
    with pytest.raises(AssertionError, match="create"):
        rotate.rotate(busy, timeout=1, despite_runs=True)


def test_a_part_that_is_not_ready_stops_it_before_anything_has_changed() -> None:
    with pytest.raises(KitError, match="not ready in kubeflow: ml-pipeline; nothing was changed"):
        rotate.rotate(target(AWAY), timeout=1, despite_runs=True)


def test_keys_of_others_are_left_to_them() -> None:
    with pytest.raises(BadInputError, match="both stores of the overlay gke are yours"):
        rotate.rotate(target(overlay="gke"), timeout=1, despite_runs=False)


def test_new_values_are_new_and_safe_in_sql() -> None:
    for name, made in secrets.MADE.items():
        first, second = secrets.new(name), secrets.new(name)
        assert first.keys() == made.sizes.keys()
        for key, value in first.items():
            assert value != second[key]
            assert re.fullmatch(r"[0-9a-f]{20,}", value)
        assert json.loads(secrets.manifest(name, first))["stringData"] == first


def values(target: Target) -> dict[str, dict[str, str]]:
    return {name: secrets.read(target, name) for name in secrets.MADE}


def admitted(target: Target, password: str) -> bool:
    """Whether the database lets KFP's account in."""
    client = rotate.CLIENT.replace("--user=root", "--user=kfp")
    argv = ("exec", "--stdin", "database-0", "--container=mariadb", "--", "sh", "-c", client)
    return target.query(*argv, stdin=f"{password}\nSELECT 1;\n", check=False).ok


def objects(address: str, key: dict[str, str]) -> list[str]:
    """Return the names of all objects of the store, none where the key is refused."""
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    store = S3Store(
        "mlpipeline",
        endpoint=f"http://{address}",
        region="us-east-1",
        access_key_id=key["accesskey"],
        secret_access_key=key["secretkey"],
        client_options={"allow_http": True},
    )
    try:
        return [each["path"] for page in store.list() for each in page]
    except BaseError:
        return []


@pytest.mark.kfp
@pytest.mark.long
@pytest.mark.timeout(2400)
def test_a_rotation_broken_off_half_way_is_taken_up_and_loses_nothing(
    cluster: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = forward.Service("minio-service", 9000, "the object store")
    with installation.installed(tmp_path, cluster, Wanted("kfp-rotate-test")) as target:
        first = installation.run(target, steps.keeping(), {"text": "before"})
        old = values(target)
        assert admitted(target, old["database-password"]["password"])

        with monkeypatch.context() as patched:
            patched.setattr(rotate, "_restart", Broken())
            with pytest.raises(KeyboardInterrupt):
                rotate.rotate(target, timeout=300, despite_runs=False)
        pending = secrets.read(target, rotate.PENDING)
        # Its pod asks with the password of before, so it has to give way while it is not ready.
        wait_for(
            "the database not to be ready",
            lambda: None if "database" in lifecycle.not_ready(target) else "it is ready",
            timeout=180,
        )
        rotate.rotate(target, timeout=300, despite_runs=False)

        new = values(target)
        assert {f"{s}.{k}": v for s, keys in new.items() for k, v in keys.items()} == pending
        assert secrets.read(target, rotate.PENDING) == {}
        shown = "".join(capsys.readouterr())
        for name, keys in old.items():
            for key, value in keys.items():
                assert new[name][key] != value
                assert not {value, new[name][key]} & set(re.findall(r"\w+", shown))
        assert admitted(target, new["database-password"]["password"])
        assert not admitted(target, old["database-password"]["password"])
        with forward.opened(target, store) as address:
            assert objects(address, old["mlpipeline-minio-artifact"]) == []
            there = objects(address, new["mlpipeline-minio-artifact"])
            assert [path for path in there if first in path and path.endswith("/kept")]
        installation.run(target, steps.keeping(), {"text": "after"})

        lifecycle.install(target, timeout=300)
        assert values(target) == new


class Broken:
    """Stands for a user's Ctrl-C."""

    def __call__(self, *_: object) -> None:
        raise KeyboardInterrupt
