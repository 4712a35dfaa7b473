"""A rotation that is broken off half-way, for real."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import database, secrets
from kfpkit.kube import forward
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import lock, rotate
from tests.support import installation, steps
from tests.support.installation import Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kfp.target import Target


def values(target: Target) -> dict[str, dict[str, str]]:
    return {name: secrets.read(target, name) for name in secrets.MADE}


def admitted(target: Target, password: str) -> bool:
    """Whether the database lets KFP's account in."""
    script = f"{database.WITH_PASSWORD}DB_USERNAME=kfp {database.QUERY}"
    argv = database.Database(target).argv(script)
    return process.query(argv, stdin=f"{password}\nSELECT 1;\n", check=False).ok


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
        pending = secrets.read(target, lock.PENDING)
        # Its pod asks with the password of before, so it has to give way while it is not ready.
        wait_for(
            "the database not to be ready",
            lambda: None if "database" in lifecycle.not_ready(target) else "it is ready",
            timeout=180,
        )
        rotate.rotate(target, timeout=300, despite_runs=False)

        new = values(target)
        assert {f"{s}.{k}": v for s, keys in new.items() for k, v in keys.items()} == pending
        assert secrets.read(target, lock.PENDING) == {}
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
