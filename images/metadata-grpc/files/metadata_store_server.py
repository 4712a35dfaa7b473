#!/usr/bin/python3
"""The ML Metadata gRPC server: the C++ store inside the ml-metadata wheel, behind a Python server.

It takes the flags of the upstream `metadata_store_server` that a MySQL set-up needs, and serves the
same service. Requests and answers pass through as bytes: the store reads and writes them itself.

The wheel's functions hold Python's global lock while they run, also while they wait for the
database. More connections would gain nothing, so there is one store, used by one thread at a time.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

LOG = logging.getLogger("metadata-grpc")

SERVICE = "ml_metadata.MetadataStoreService"

#: What a method of the store returns: the response, an error's text, a gRPC status code.
Answer = tuple[bytes, bytes, int]
Store = Any
Method = Callable[[Store, bytes], Answer]

UNAVAILABLE = 14

#: Statuses after which a store is as good as before: OK, INVALID_ARGUMENT, NOT_FOUND,
#: ALREADY_EXISTS. After others its transaction may still be open, and every later call would fail.
HARMLESS = (0, 3, 5, 6)

#: Parts of the texts by which the store says that the database is not there, or not any more.
OUTAGES = (
    "mysql_real_connect failed",
    "Lost connection to MySQL server",
    "MySQL server has gone away",
    "Connection was killed",
    "Server shutdown in progress",
)

#: A read of next to nothing.
PING = "GetContextTypes"

#: Seconds that the first start waits for the database.
START_PATIENCE = 300.0

#: Seconds that a request waits for a database that went away, for example while it is restarted.
REQUEST_PATIENCE = 30.0

#: Seconds between two attempts to connect.
INTERVAL = 1.0

#: Seconds that requests have to finish after SIGTERM.
GRACE = 20.0

#: gRPC threads: one works, the others hold requests that wait for it, or answer health checks.
THREADS = 16


@dataclass(frozen=True)
class Settings:
    """What the flags say."""

    port: int
    host: str
    database_port: int
    database: str
    user: str
    password: str
    upgrade: bool
    options: tuple[tuple[str, int | str], ...]


def parse(argv: list[str]) -> Settings:
    """Read the flags; exits with code 2 and a line on standard error when they are wrong."""
    parser = argparse.ArgumentParser("metadata_store_server", allow_abbrev=False)
    parser.add_argument("--grpc_port", type=int, default=8080)
    parser.add_argument("--mysql_config_host", required=True)
    parser.add_argument("--mysql_config_port", type=int, default=3306)
    parser.add_argument("--mysql_config_database", required=True)
    parser.add_argument("--mysql_config_user", required=True)
    parser.add_argument("--mysql_config_password", default="")
    parser.add_argument(
        "--enable_database_upgrade", type=boolean, nargs="?", const=True, default=False
    )
    parser.add_argument("--grpc_channel_arguments", type=channel_options, default=())
    flags = parser.parse_args(argv)
    return Settings(
        port=flags.grpc_port,
        host=flags.mysql_config_host,
        database_port=flags.mysql_config_port,
        database=flags.mysql_config_database,
        user=flags.mysql_config_user,
        password=flags.mysql_config_password,
        upgrade=flags.enable_database_upgrade,
        options=flags.grpc_channel_arguments,
    )


def boolean(text: str) -> bool:
    """Read `true` or `false`."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def channel_options(text: str) -> tuple[tuple[str, int | str], ...]:
    """Read `name=value,name=value`; whole numbers become int, as gRPC wants them."""
    options: list[tuple[str, int | str]] = []
    for part in filter(None, text.split(",")):
        name, equals, value = part.strip().partition("=")
        if not (name and equals and value):
            raise argparse.ArgumentTypeError(f"{part!r} is not name=value")
        options.append((name, int(value) if value.lstrip("-").isdigit() else value))
    return tuple(options)


def is_outage(message: str) -> bool:
    """Whether a store's error says that the database cannot be reached."""
    return any(part in message for part in OUTAGES)


class Metadata:
    """The one store, made again when its database went away.

    A store that has failed to reconnect once crashes the process when it is used again, and one
    whose transaction broke refuses every later call. So a store is given up after any error that is
    not a plain answer to the request.

    Args:
        connect: Makes a store, or raises RuntimeError.
        methods: Gives the function of a method's name.
        patience: Seconds that a request waits for the database.
        interval: Seconds between two attempts.
    """

    def __init__(
        self,
        connect: Callable[[], Store],
        methods: Callable[[str], Method],
        patience: float = REQUEST_PATIENCE,
        interval: float = INTERVAL,
    ) -> None:
        self._connect = connect
        self._methods = methods
        self._patience = patience
        self._interval = interval
        self._store: Store | None = None
        self._lock = threading.Lock()

    def call(self, name: str, request: bytes) -> Answer:
        """Answer one request.

        A read is repeated until the database is back. A write is made once, because nobody knows
        what became of one whose connection broke; a read before it makes sure that the connection
        is alive, so that no write is lost to an outage that is already over.
        """
        with self._lock:
            if name.startswith("Get"):
                return self._read(name, request)
            alive = self._read(PING, b"")
            if alive[2] != 0:
                return alive
            return self._once(name, request)

    def _once(self, name: str, request: bytes) -> Answer:
        if self._store is None:
            self._store = self._connect()
        answer = self._methods(name)(self._store, request)
        if answer[2] not in HARMLESS:
            self._store = None
        return answer

    def _read(self, name: str, request: bytes) -> Answer:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                answer = self._once(name, request)
                error = answer[1].decode(errors="replace")
            except RuntimeError as failed:
                answer, error = (b"", str(failed).encode(), UNAVAILABLE), str(failed)
            if not is_outage(error):
                return answer
            LOG.warning("%s: %s", name, error)
            if time.monotonic() >= deadline:
                return b"", f"no database: {error}".encode(), UNAVAILABLE
            time.sleep(self._interval)


def first_connection(
    connect: Callable[[], Store], stop: threading.Event, patience: float, interval: float = INTERVAL
) -> str:
    """Wait until a connection works, which also makes the tables.

    Returns:
        An empty text, or what is wrong when it never worked or is not worth waiting for.
    """
    deadline = time.monotonic() + patience
    while not stop.is_set():
        try:
            connect()
        except RuntimeError as error:
            if not is_outage(str(error)):
                return str(error)
            if time.monotonic() >= deadline:
                return f"not reachable for {patience:.0f} s: {error}"
            LOG.info("waiting for the database: %s", error)
            stop.wait(interval)
        else:
            return ""
    return "told to stop"


def serve(settings: Settings, stop: threading.Event) -> int:
    """Serve until `stop` is set; returns the exit code."""
    # Late, because these exist in the image only, and the parts above are tested without it.
    import grpc
    from ml_metadata.metadata_store.pywrap import metadata_store_extension
    from ml_metadata.proto import metadata_store_pb2

    library = metadata_store_extension.metadata_store
    config = metadata_store_pb2.ConnectionConfig()
    config.mysql.host = settings.host
    config.mysql.port = settings.database_port
    config.mysql.database = settings.database
    config.mysql.user = settings.user
    config.mysql.password = settings.password
    migration = metadata_store_pb2.MigrationOptions(enable_upgrade_migration=settings.upgrade)

    def connect() -> Store:
        return library.CreateMetadataStore(
            config.SerializeToString(), migration.SerializeToString()
        )

    wrong = first_connection(connect, stop, START_PATIENCE)
    if wrong:
        place = f"{settings.user}@{settings.host}:{settings.database_port}/{settings.database}"
        LOG.error("database %s: %s", place, wrong)
        return 1

    metadata = Metadata(connect, lambda name: getattr(library, name))
    codes = {code.value[0]: code for code in grpc.StatusCode}
    served = {name for name in dir(library) if name.startswith(("Get", "Put"))}

    def method(name: str) -> Callable[[bytes, Any], bytes]:
        def handle(request: bytes, context: Any) -> bytes:
            response, message, status = metadata.call(name, request)
            if status != 0:
                text = message.decode(errors="replace")
                LOG.info("%s: status %d: %s", name, status, text)
                context.abort(codes.get(status, grpc.StatusCode.UNKNOWN), text)
            return response

        return handle

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
        """Finds the handler of a path `/SERVICE/METHOD`; None makes gRPC answer UNIMPLEMENTED."""

        def service(self, details: Any) -> Any:
            _, service, name = details.method.split("/")
            if service == SERVICE and name in served:
                return grpc.unary_unary_rpc_method_handler(method(name))
            if (service, name) == ("grpc.health.v1.Health", "Check"):
                # HealthCheckResponse with status SERVING.
                return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"\x08\x01")
            return None

    # Without SO_REUSEPORT a second server on the port fails instead of taking half of the calls.
    options = [("grpc.so_reuseport", 0), *settings.options]
    server = grpc.server(ThreadPoolExecutor(THREADS), handlers=[Handlers()], options=options)
    server.add_insecure_port(f"[::]:{settings.port}")
    server.start()
    LOG.info("serving %d methods on port %d", len(served), settings.port)
    stop.wait()
    LOG.info("stopping")
    server.stop(GRACE).wait()
    return 0


def main() -> None:
    """Run the server until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sys.exit(serve(parse(sys.argv[1:]), stop))


if __name__ == "__main__":
    main()
