"""Database, object store, metadata server, Envoy and API server, working with one another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kfpkit.core.versions import ROOT
from kfpkit.core.waiting import wait_for
from kfpkit.kfp.database import SHELL, Database
from kfpkit.kfp.indexes import INDEXES, missing
from kfpkit.kfp.target import choose
from tests.support.containers import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.containers import Container, Engine

pytestmark = pytest.mark.docker

#: Of the kind that a generator may make, and that SQL and shells read wrongly.
PASSWORD = "a'b\\c \"d$e`f"  # noqa: S105 - for this test only

#: The tests start the stores with the files that the manifests mount.
MANIFESTS = ROOT / "manifests/base"

PLACES = ("--tmpfs", "/run/mysqld:uid=999,mode=0750")

#: Runs inside the metadata image, whose wheel has the client too.
CLIENT = """
import sys
import grpc
from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as p

host, what = sys.argv[1:]
store = MetadataStore(p.MetadataStoreClientConfig(host=host, port=8080))
kind = store.put_context_type(p.ContextType(name="run"))
if what == "write":
    store.put_contexts([p.Context(name="first", type_id=kind)])
    try:
        store.put_contexts([p.Context(name="first", type_id=kind)])
    except errors.AlreadyExistsError:
        print("the second of a name is refused")
    large = p.Context(name="large", type_id=kind)
    large.custom_properties["x"].string_value = "x" * 70_000_000
    try:
        store.put_contexts([large])
    except errors.InternalError:
        print("too big is refused")
print(sorted(context.name for context in store.get_contexts()))
channel = grpc.insecure_channel(f"{host}:8080")
assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\\x08\\x01"
try:
    channel.unary_unary("/ml_metadata.MetadataStoreService/GetLineageGraph")(b"")
except grpc.RpcError as error:
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED, error
"""


def database(docker: Engine, volume: Path, *args: str, options: tuple[str, ...] = ()) -> Container:
    environment = {
        "MARIADB_ROOT_PASSWORD": PASSWORD,
        "MARIADB_USER": "kfp",
        "MARIADB_PASSWORD": PASSWORD,
    }
    files = MANIFESTS / "database"
    flags = [*PLACES, "--volume", f"{volume}:/var/lib/mysql", *options]
    flags += ["--volume", f"{files}/kfp.cnf:/etc/mysql/conf.d/kfp.cnf:ro"]
    if not options:
        flags += ["--volume", f"{files}/grants.sql:/docker-entrypoint-initdb.d/grants.sql:ro"]
    for name, value in environment.items():
        flags += ["--env", f"{name}={value}"]
    return docker.start("mariadb", *args, options=tuple(flags))


def sql(container: Container, user: str, statement: str, *, password: str = PASSWORD) -> str:
    """Run a statement over TCP, and return its result or the error."""
    argv = ["mariadb", "--host=127.0.0.1", f"--user={user}", f"--password={password}"]
    done = container.run(
        *argv, "--batch", "--skip-column-names", f"--execute={statement}", check=False
    )
    return (done.stdout or done.stderr).strip()


def metadata_server(docker: Engine, host: str) -> Container:
    return docker.start(
        "metadata-grpc",
        "--grpc_port=8080",
        f"--mysql_config_host={host}",
        "--mysql_config_port=3306",
        "--mysql_config_database=metadb",
        "--mysql_config_user=kfp",
        f"--mysql_config_password={PASSWORD}",
        "--enable_database_upgrade=true",
        "--grpc_channel_arguments=grpc.max_receive_message_length=104857600",
    )


def ask(docker: Engine, server: Container, what: str) -> str:
    done = docker.once(
        "metadata-grpc", "-c", CLIENT, server.name, what, options=("--entrypoint", "python3")
    )
    assert done.ok, done.stderr
    return done.stdout


def test_database_has_the_accounts_asked_for_and_no_other(docker: Engine, volume: Path) -> None:
    mariadb = database(docker, volume, "--max-connections=77")
    mariadb.wait_for_output("port: 3306")

    assert sql(mariadb, "kfp", "SELECT @@max_connections") == "77"
    assert sql(mariadb, "kfp", "SELECT @@max_allowed_packet") == str(64 * 2**20)
    assert sql(mariadb, "kfp", "CREATE TABLE mlpipeline.x (a INT)") == ""
    assert "denied" in sql(mariadb, "kfp", "CREATE DATABASE other")
    assert "denied" in sql(mariadb, "root", "SELECT 1", password="")
    accounts = "SELECT user, host FROM mysql.global_priv WHERE user <> 'mariadb.sys' ORDER BY 1, 2"
    assert sql(mariadb, "root", accounts).split() == [
        *("kfp", "%"),
        *("root", "%"),
        *("root", "localhost"),
    ]
    assert mariadb.stop() == 0


def test_database_needs_a_password_for_a_new_folder(docker: Engine, volume: Path) -> None:
    done = docker.once("mariadb", options=(*PLACES, "--volume", f"{volume}:/var/lib/mysql"))

    assert done.returncode == 1
    assert "MARIADB_ROOT_PASSWORD" in done.stderr
    assert list(volume.iterdir()) == []


def test_database_survives_a_kill_in_its_first_start(
    docker: Engine, volume: Path, tmp_path: Path
) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "slow.sql").write_text("CREATE DATABASE half;\nDO SLEEP(600);\n")
    mounted = ("--volume", f"{scripts}:/docker-entrypoint-initdb.d:ro")
    mariadb = database(docker, volume, options=mounted)
    wait_for(
        "the first start half-way",
        lambda: None if (volume / "half").exists() else "not there",
        timeout=PATIENCE,
        interval=0.1,
    )
    mariadb.kill()
    assert (volume / ".unfinished").exists()

    (scripts / "slow.sql").write_text("CREATE DATABASE whole;\n")
    mariadb.start()
    mariadb.wait_for_output("port: 3306")

    assert sql(mariadb, "kfp", "SELECT 1") == "1"
    databases = sql(mariadb, "root", "SHOW DATABASES").split()
    assert "whole" in databases
    assert "half" not in databases
    assert not (volume / ".unfinished").exists()


def test_metadata_server_waits_for_its_database_and_metadata_outlives_it(
    docker: Engine, volume: Path
) -> None:
    mariadb = database(docker, volume)
    mariadb.wait_for_output("port: 3306")
    mariadb.stop()
    metadata = metadata_server(docker, mariadb.name)
    metadata.wait_for_output("waiting for the database")
    mariadb.start()
    metadata.wait_for_output("serving 49 methods")

    said = ask(docker, metadata, "write").splitlines()
    assert said == ["the second of a name is refused", "too big is refused", "['first']"]
    mariadb.kill()
    mariadb.start()
    assert ask(docker, metadata, "read") == "['first']\n"
    assert metadata.stop() == 0


def api_server(docker: Engine, mariadb: Container, folder: Path) -> tuple[Container, Path]:
    """Return an API server, and the folder of its store's buckets.

    It makes its database and its bucket, and then looks for Kubernetes, which is the cluster tests'
    part.
    """
    objects = folder / "objects"
    objects.mkdir()
    objects.chmod(0o777)
    store = docker.start(
        "versitygw",
        *("--port", ":9000", "--region", "minio", "posix", "/data"),
        options=(
            *("--volume", f"{objects}:/data"),
            *("--env", "ROOT_ACCESS_KEY=key", "--env", "ROOT_SECRET_KEY=secret"),
        ),
    )
    config = folder / "config"
    config.mkdir()
    settings = {
        "DBDriverName": "mysql",
        "DBConfig": {"MySQLConfig": {"DBName": "mlpipeline"}, "ConMaxLifeTime": "120s"},
        "ObjectStoreConfig": {"PipelinePath": "pipelines"},
        "InitConnectionTimeout": "1m",
    }
    (config / "config.json").write_text(json.dumps(settings))
    environment = {
        "DBCONFIG_MYSQLCONFIG_HOST": mariadb.name,
        "DBCONFIG_MYSQLCONFIG_USER": "kfp",
        "DBCONFIG_MYSQLCONFIG_PASSWORD": PASSWORD,
        "OBJECTSTORECONFIG_HOST": store.name,
        "OBJECTSTORECONFIG_PORT": "9000",
        "OBJECTSTORECONFIG_REGION": "minio",
        "OBJECTSTORECONFIG_BUCKETNAME": "mlpipeline",
        "OBJECTSTORECONFIG_ACCESSKEY": "key",
        "OBJECTSTORECONFIG_SECRETACCESSKEY": "secret",
        "POD_NAMESPACE": "kfp",
        "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_HOST": "unused",
        "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_PORT": "1",
    }
    options = ["--volume", f"{config}:/config:ro"]
    for name, value in environment.items():
        options += ["--env", f"{name}={value}"]

    api = docker.start(
        "kfp-api-server", "--config=/config", "-logtostderr=true", options=tuple(options)
    )
    api.wait_for_output("Object store client initialized successfully")
    return api, objects


def test_api_server_makes_its_database_and_its_bucket(
    docker: Engine, volume: Path, tmp_path: Path
) -> None:
    mariadb = database(docker, volume)
    _, objects = api_server(docker, mariadb, tmp_path)

    assert [path.name for path in objects.iterdir()] == ["mlpipeline"]
    assert "run_details" in sql(mariadb, "root", "SHOW TABLES FROM mlpipeline").split()


def test_the_kits_indexes_outlast_a_start_of_the_api_server_and_a_dump(
    docker: Engine, volume: Path, tmp_path: Path
) -> None:
    mariadb = database(docker, volume)

    class Asked(Database):
        def argv(self, script: str) -> list[str]:
            environment = ["--env", f"MARIADB_ROOT_PASSWORD={PASSWORD}"]
            argv = ["docker", "exec", "--interactive", *environment, mariadb.name]
            return [*argv, "bash", "-c", SHELL + script]

    asked = Asked(choose("gke", context="none"))
    mariadb.wait_for_output("port: 3306")
    assert not missing(asked)  # Of tables that are not there yet.
    api, _ = api_server(docker, mariadb, tmp_path)
    assert missing(asked) == list(INDEXES)
    for index in INDEXES:
        asked.execute(index.sql)
    assert not missing(asked)

    api.kill()
    since = len(api.output())
    api.start()
    wait_for(
        "the API server's second start",
        lambda: None if "Object store client init" in api.output()[since:] else api.output()[-300:],
        timeout=PATIENCE,
    )
    assert not missing(asked)
    asked.dump(tmp_path / "dump.gz")
    asked.load(tmp_path / "dump.gz")
    asked.swap()
    assert not missing(asked)


def test_object_store_starts_as_in_the_manifests_and_says_that_it_is_well(
    docker: Engine, volume: Path
) -> None:
    store = docker.start(
        "versitygw",
        *("--port=:9000", "--region=minio", "--health=/healthz", "--quiet", "posix", "/data"),
        options=(
            *("--volume", f"{volume}:/data"),
            *("--env", "ROOT_ACCESS_KEY=key", "--env", "ROOT_SECRET_KEY=secret"),
        ),
    )

    def status(path: str) -> str:
        # From the image that has a shell: the store's own has none.
        get = f"GET {path} HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n"
        script = f"exec 3<>/dev/tcp/{store.name}/9000; printf '{get}' >&3; head -1 <&3"
        done = docker.once("envoy", "-c", script, options=("--entrypoint", "bash"))
        return done.stdout.strip() or done.stderr

    def well() -> str | None:
        seen = status("/healthz")
        return None if seen.endswith("200 OK") else seen

    wait_for("the object store's health", well, timeout=PATIENCE)
    assert status("/mlpipeline/secret").endswith("404 Not Found")
    assert store.stop() == 0


def test_envoy_accepts_the_manifests_configuration(docker: Engine) -> None:
    files = MANIFESTS / "metadata-envoy"

    done = docker.once(
        "envoy",
        *("/etc/envoy/envoy.yaml", "--mode", "validate"),
        options=("--volume", f"{files}:/etc/envoy:ro"),
    )

    assert done.ok, done.stderr
