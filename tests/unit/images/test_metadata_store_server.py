"""The parts of the metadata server that need neither gRPC nor a database."""

from __future__ import annotations

import importlib.util
import sys
import threading
from typing import Any

import pytest

from kfpkit.images.recipe import IMAGES

FLAGS = [
    "--mysql_config_host=mysql",
    "--mysql_config_database=metadb",
    "--mysql_config_user=root",
]
LOST = (b"", b"mysql_query failed: errno: Lost connection to MySQL server during query", 13)
TOO_BIG = (b"", b"mysql_query failed: errno: Got a packet bigger than 'max_allowed_packet'", 13)
NOT_FOUND = (b"", b"No type found", 5)
DOWN = RuntimeError("mysql_real_connect failed: errno: , error: ")


@pytest.fixture(scope="module")
def server() -> Any:
    file = IMAGES / "metadata-grpc/files/metadata_store_server.py"
    spec = importlib.util.spec_from_file_location("metadata_store_server", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Script:
    """Stands for the wheel's functions: hands out prepared answers and notes what was called."""

    def __init__(self, *, connects: list[Any], answers: list[Any]) -> None:
        self.connects = connects
        self.answers = answers
        self.calls: list[str] = []

    def connect(self) -> Any:
        self.calls.append("connect")
        store = self.connects.pop(0)
        if isinstance(store, Exception):
            raise store
        return store

    def methods(self, name: str) -> Any:
        def method(store: Any, _request: bytes) -> Any:
            assert store is not None
            self.calls.append(f"{name} on {store}")
            return self.answers.pop(0)

        return method

    def metadata(self, server: Any, patience: float = 5) -> Any:
        return server.Metadata(self.connect, self.methods, patience=patience, interval=0)


OK = (b"x", b"", 0)


def test_flags_of_the_upstream_manifests_are_taken(server: Any) -> None:
    settings = server.parse(
        [
            *FLAGS,
            "--grpc_port=9000",
            "--mysql_config_port=3307",
            "--mysql_config_password=p=1,2",
            "--enable_database_upgrade=true",
            "--grpc_channel_arguments=grpc.max_receive_message_length=104857600,grpc.x=y",
        ]
    )

    assert (settings.port, settings.database_port, settings.password) == (9000, 3307, "p=1,2")
    assert settings.upgrade is True
    assert settings.options == (("grpc.max_receive_message_length", 104857600), ("grpc.x", "y"))


def test_nothing_is_upgraded_unless_asked_for(server: Any) -> None:
    assert server.parse(FLAGS).upgrade is False
    assert server.parse([*FLAGS, "--enable_database_upgrade=false"]).upgrade is False
    assert server.parse([*FLAGS, "--enable_database_upgrade"]).upgrade is True


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("--enable_database_upgrade=maybe", "maybe"),
        ("--grpc_channel_arguments=grpc.x", "grpc.x"),
        ("--mysql_config_port=no", "no"),
        ("--mysql_config_hos=x", "--mysql_config_hos"),
    ],
)
def test_a_wrong_flag_is_named(
    server: Any, capsys: pytest.CaptureFixture[str], wrong: str, named: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        server.parse([*FLAGS, wrong])

    assert ended.value.code == 2
    assert named in capsys.readouterr().err


def test_answers_and_errors_pass_unchanged_on_one_store(server: Any) -> None:
    script = Script(connects=["A"], answers=[OK, NOT_FOUND, OK])
    metadata = script.metadata(server)

    answers = [metadata.call("GetContexts", b"") for _ in range(3)]

    assert answers == [OK, NOT_FOUND, OK]
    assert script.calls.count("connect") == 1


def test_a_read_outlives_an_outage_on_a_new_store(server: Any) -> None:
    script = Script(connects=["A", DOWN, "B"], answers=[LOST, OK])

    assert script.metadata(server).call("GetContexts", b"") == OK
    assert script.calls[-1] == "GetContexts on B"


def test_a_read_gives_up_when_its_patience_ends(server: Any) -> None:
    script = Script(connects=[DOWN], answers=[])

    response, text, status = script.metadata(server, patience=0).call("GetContexts", b"")

    assert (response, status) == (b"", 14)
    assert b"mysql_real_connect failed" in text


def test_a_write_is_made_once_and_only_on_a_connection_that_lives(server: Any) -> None:
    script = Script(connects=["A", "B"], answers=[LOST, OK, OK])

    assert script.metadata(server).call("PutContexts", b"") == OK
    assert script.calls[-2:] == [f"{server.PING} on B", "PutContexts on B"]
    assert sum("PutContexts" in call for call in script.calls) == 1


def test_a_write_whose_connection_broke_is_not_repeated(server: Any) -> None:
    script = Script(connects=["A"], answers=[OK, LOST])

    assert script.metadata(server).call("PutContexts", b"") == LOST
    assert sum("PutContexts" in call for call in script.calls) == 1


def test_a_store_is_given_up_after_an_error_that_may_leave_its_transaction_open(
    server: Any,
) -> None:
    script = Script(connects=["A", "B"], answers=[OK, TOO_BIG, OK])
    metadata = script.metadata(server)

    assert metadata.call("PutContexts", b"") == TOO_BIG
    assert metadata.call("GetContexts", b"") == OK
    assert script.calls[-1] == "GetContexts on B"


def test_the_first_connection_waits_for_an_outage_only(server: Any) -> None:
    stop = threading.Event()
    wrong_schema = RuntimeError("schema version is newer")

    late = Script(connects=[DOWN, DOWN, "A"], answers=[])
    assert server.first_connection(late.connect, stop, 5, 0) == ""
    assert late.calls == ["connect"] * 3

    hopeless = Script(connects=[wrong_schema], answers=[])
    assert server.first_connection(hopeless.connect, stop, 5, 0) == "schema version is newer"

    never = Script(connects=[DOWN], answers=[])
    assert "mysql_real_connect" in server.first_connection(never.connect, stop, 0, 0)

    stop.set()
    assert server.first_connection(late.connect, stop, 5, 0) == "told to stop"
