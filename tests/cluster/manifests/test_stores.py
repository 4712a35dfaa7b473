"""Stores outside the cluster: an installation uses them, and a run leaves its traces there.

They are containers on the network of the cluster's nodes, whose names the cluster resolves: a
MariaDB, a versitygw that speaks TLS, and a fake-gcs-server in the place of Cloud Storage.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from typing import TYPE_CHECKING

import pytest
import yaml

from kfpkit.core import process
from kfpkit.core.waiting import wait_for
from kfpkit.images import builder, recipe
from kfpkit.kube.render import MANIFESTS
from kfpkit.operations import installation as lifecycle
from tests.support import installation, steps
from tests.support.installation import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.long, pytest.mark.timeout(2400)]

#: kind's network, which the nodes are on.
NETWORK = "kind"

#: Seconds for a store to answer.
PATIENCE = 120.0

#: Written by one step and read by the next.
TEXT = "kept outside the cluster"

BUCKET = "kept-outside"
DATABASE, S3, GCS = "database.kfpkit.test", "s3.kfpkit.test", "storage.googleapis.com"


class Beside:
    """Containers beside the cluster, by the name that pods find them by."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def start(
        self, image: str, *args: str, hosts: tuple[str, ...], options: tuple[str, ...] = ()
    ) -> str:
        """Start an image of the kit; return the container's name."""
        builder.ensure([image], load=[image])
        name = f"kfpkit-test-{image}-{secrets.token_hex(4)}"
        argv = ["docker", "run", "--detach", "--name", name, "--network", NETWORK]
        reference = recipe.load(recipe.IMAGES / image).references[0]
        for host in hosts:
            argv += ["--network-alias", host]
        process.query([*argv, *options, reference, *args])
        remove = ["docker", "rm", "--force", "--volumes", name]
        self._stack.callback(process.query, remove, check=False)
        return name

    def s3(self, host: str, region: str, volume: Path, tls: Path) -> dict[str, str]:
        """Start an S3 store over TLS on port 443; return its key as the Secret of KFP has it."""
        key = {"accesskey": secrets.token_hex(10), "secretkey": secrets.token_hex(24)}
        options = ["--volume", f"{volume}:/data", "--volume", f"{tls}:/tls:ro"]
        options += ["--env", f"ROOT_ACCESS_KEY={key['accesskey']}"]
        options += ["--env", f"ROOT_SECRET_KEY={key['secretkey']}"]
        program = ["--port=:443", f"--region={region}", "--cert=/tls/crt", "--key=/tls/key"]
        # Clients put the bucket into the name of the host, where that is Google's.
        hosts = (host, f"{BUCKET}.{host}")
        program.append(f"--virtual-domain={host}")
        self.start("versitygw", *program, "posix", "/data", hosts=hosts, options=tuple(options))
        return key


@pytest.fixture
def beside(cluster: str) -> Iterator[Beside]:
    """What starts containers beside the cluster; they end with the test."""
    assert cluster
    with contextlib.ExitStack() as stack:
        yield Beside(stack)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A folder that any user may write, with a bucket in it."""
    folder = tmp_path / "volume"
    for each in (folder, folder / BUCKET):
        each.mkdir()
        each.chmod(0o777)
    return folder


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    """A folder with a certificate for the hosts of this module, and its key."""
    folder = tmp_path / "tls"
    folder.mkdir()
    names = f"subjectAltName=DNS:{S3},DNS:{GCS},DNS:{BUCKET}.{GCS}"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    argv += ["-subj", "/CN=kfpkit test", "-addext", names]
    process.query([*argv, "-keyout", str(folder / "key"), "-out", str(folder / "crt")])
    (folder / "key").chmod(0o644)  # The store is another user; it is a key for this test only.
    return folder


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """An empty folder for the overlay."""
    folder = tmp_path / "overlay"
    folder.mkdir()
    return folder


def logs(folder: Path) -> list[Path]:
    """Return the archived logs that hold what the second step said."""
    return [log for log in folder.rglob("main.log") if f"read {TEXT}" in log.read_text()]


def stateful_sets(target: Target) -> set[str]:
    return {item["metadata"]["name"] for item in target.items(["statefulsets"])}


def test_database_and_s3_outside_the_cluster(
    cluster: str, beside: Beside, volume: Path, tls: Path, overlay: Path, tmp_path: Path
) -> None:
    password, account = secrets.token_hex(24), "pipelines"
    grants = tmp_path / "grants.sql"
    grants.write_text(
        (MANIFESTS / "base/database/grants.sql").read_text().replace("'kfp'", f"'{account}'")
    )
    options = ["--volume", f"{grants}:/docker-entrypoint-initdb.d/grants.sql:ro"]
    options += ["--volume", f"{MANIFESTS}/base/database/kfp.cnf:/etc/mysql/conf.d/kfp.cnf:ro"]
    for name, value in {"ROOT_PASSWORD": password, "USER": account, "PASSWORD": password}.items():
        options += ["--env", f"MARIADB_{name}={value}"]
    database = beside.start("mariadb", hosts=(DATABASE,), options=tuple(options))
    key = beside.s3(S3, "eu-test-1", volume, tls)
    wanted = Wanted(
        namespace="kfp-outside-test",
        options=("external-database", "external-s3", "private-ca"),
        parameters={
            "databaseHost": DATABASE,
            "databasePort": "3306",
            "databaseUsername": account,
            "s3Host": S3,
            "s3Region": "eu-test-1",
            "s3Bucket": BUCKET,
            "caCertificates": (tls / "crt").read_text(),
        },
        secrets={"database-password": {"password": password}, "mlpipeline-minio-artifact": key},
    )

    def rows(query: str) -> list[str]:
        client = [
            "mariadb",
            "--host=127.0.0.1",
            f"--user={account}",
            "--batch",
            "--skip-column-names",
        ]
        argv = ["docker", "exec", "--env", f"MYSQL_PWD={password}", database, *client]
        return process.query([*argv, f"--execute={query}"]).stdout.splitlines()

    with installation.installed(overlay, cluster, wanted) as target:
        run = installation.run(target, steps.keeping(), {"text": TEXT})

        assert stateful_sets(target) == set()
        assert all(part.restarts == 0 for part in lifecycle.components(target))
        assert rows("SELECT UUID, State FROM mlpipeline.run_details") == [f"{run}\tSUCCEEDED"]
        # The run itself, and its two steps.
        assert rows("SELECT COUNT(*) FROM metadb.Execution") == ["3"]
        (kept,) = (volume / BUCKET).glob(f"v2/artifacts/keeping/{run}/**/kept")
        assert kept.read_text() == TEXT
        assert rows("SELECT uri FROM metadb.Artifact WHERE uri LIKE '%/kept'") == [
            f"minio://{kept.relative_to(volume)}"
        ]
        wait_for(
            "the log of the second step",
            lambda: None if logs(volume / BUCKET) else "not there yet",
            timeout=PATIENCE,
        )


def test_artifacts_in_cloud_storage(
    cluster: str, beside: Beside, volume: Path, tls: Path, overlay: Path, tmp_path: Path
) -> None:
    """Artifacts over Google's API in fake-gcs-server; logs over its S3 interface in versitygw.

    No program speaks both of Cloud Storage's interfaces, so two stand for it: KFP's launcher has a
    switch of the Go client for the first, and finds the second by the name of the real one.
    """
    objects = tmp_path / "objects"
    for each in (objects, objects / BUCKET):
        each.mkdir()
        each.chmod(0o777)
    fake = "gcs.kfpkit.test"
    beside.start(
        "fake-gcs-server",
        "-backend=filesystem",
        "-filesystem-root=/data",
        "-scheme=http",
        "-port=443",
        f"-public-host={fake}:443",
        f"-external-url=http://{fake}:443",
        hosts=(fake,),
        options=("--volume", f"{objects}:/data"),
    )
    key = beside.s3(GCS, "auto", volume, tls)
    file = MANIFESTS / "releases/2.14.3/mainContainer.yaml"
    main = yaml.safe_load(file.read_text())
    main["env"].append({"name": "STORAGE_EMULATOR_HOST", "value": f"{fake}:443"})
    emulator = [{"op": "replace", "path": "/data/mainContainer", "value": yaml.safe_dump(main)}]
    wanted = Wanted(
        namespace="kfp-gcs-test",
        options=("gcs-artifacts", "private-ca"),
        parameters={"gcsBucket": BUCKET, "caCertificates": (tls / "crt").read_text()},
        secrets={"mlpipeline-minio-artifact": key},
        patches=(
            {
                "target": {"kind": "ConfigMap", "name": "workflow-controller-configmap"},
                "patch": json.dumps(emulator),
            },
        ),
    )
    with installation.installed(overlay, cluster, wanted) as target:
        run = installation.run(target, steps.keeping(), {"text": TEXT})

        assert stateful_sets(target) == {"database"}
        (kept,) = [file for file in objects.rglob("*") if file.name.endswith("kept")]
        assert run in str(kept)
        assert TEXT in kept.read_text()
        wait_for(
            "the log of the second step",
            lambda: None if logs(volume / BUCKET) else "not there yet",
            timeout=PATIENCE,
        )
