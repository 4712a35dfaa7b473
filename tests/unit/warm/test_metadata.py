"""A driver that runs again: its execution is made once. A small server keeps the executions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from kfpkit.kfp.metadata import TYPES
from kfpkit.warm import metadata
from kfpkit.warm.metadata import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Keeps what is put, as the metadata server does: a number for each new execution."""

    def __init__(self) -> None:
        self.kept: dict[int, Any] = {}
        self.events: list[tuple[int, int]] = []
        self.away = False

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]

        def answer(body: bytes, context: Any) -> bytes:
            if self.away:
                context.abort(grpc.StatusCode.UNAVAILABLE, "away")
            request = TYPES[f"{name}Request"].FromString(body)
            return bytes(getattr(self, name)(request).SerializeToString())

        return grpc.unary_unary_rpc_method_handler(answer)

    def PutExecution(self, request: Any) -> Any:  # noqa: N802 - its name
        number = request.execution.id or len(self.kept) + 1
        request.execution.id = number
        if number in self.kept:  # a change keeps the name (ml-metadata, `update_execution`)
            request.execution.name = self.kept[number].name
        self.kept[number] = request.execution
        for pair in request.artifact_event_pairs:
            assert (number, pair.event.artifact_id) not in self.events, "an event written twice"
            self.events.append((number, pair.event.artifact_id))
        return TYPES["Event"](artifact_id=number)  # field 1, an int64, as in its own answer

    def GetExecutionsByContext(self, request: Any) -> Any:  # noqa: N802 - its name
        assert request.context_id == 5
        assert request.options.filter_query
        return TYPES["GetExecutionsByContextResponse"](executions=self.kept.values())

    def GetEventsByExecutionIDs(self, request: Any) -> Any:  # noqa: N802 - its name
        events = [
            TYPES["Event"](execution_id=number, artifact_id=artifact, type=3)
            for number, artifact in self.events
            if number in request.execution_ids
        ]
        return TYPES["GetEventsByExecutionIDsResponse"](events=events)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    kept = Server()
    listening = grpc.server(ThreadPoolExecutor(2), handlers=[kept])
    port = listening.add_insecure_port("127.0.0.1:0")
    listening.start()
    monkeypatch.setattr(metadata, "SERVER", f"127.0.0.1:{port}")
    yield kept
    listening.stop(None)


def put(proxy: Proxy, **fields: Any) -> int:
    request = TYPES["PutExecutionRequest"](contexts=[{"id": 4}, {"id": 5}], **fields)
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port}") as channel:
        call = channel.unary_unary(f"/{metadata.SERVICE}/PutExecution")
        return int(TYPES["Event"].FromString(call(request.SerializeToString())).artifact_id)


def task(name: str, graph: int = 1, turn: int | None = None, state: int = 2) -> dict[str, Any]:
    properties = [
        {"key": "task_name", "value": {"string_value": name}},
        {"key": "parent_dag_id", "value": {"int_value": graph}},
    ]
    if turn is not None:
        properties.append({"key": "iteration_index", "value": {"int_value": turn}})
    return {"custom_properties": properties, "last_known_state": state}


def test_what_is_made_again_is_the_same_and_what_is_another_is_new(server: Server) -> None:
    proxy = Proxy(lambda: True)
    different = [
        {"name": "run/1"},
        task("a"),
        task("b"),
        task("a", graph=2),
        task("a", turn=0),
        task("a", turn=1),
    ]
    numbers = [put(proxy, execution=execution) for execution in different]
    assert len(set(numbers)) == len(different)
    assert [put(proxy, execution=execution) for execution in different] == numbers
    assert len(server.kept) == len(different)


def test_two_loops_of_one_name_are_two(server: Server) -> None:
    """To 2.14.3 the name of a loop is the one that its pipeline gives it."""
    loops = [Proxy(lambda: True), Proxy(lambda: True)]
    for number, proxy in enumerate(loops):
        proxy.node = f"run-{number}"
    numbers = [put(proxy, execution=task("train")) for proxy in loops]
    assert len(server.kept) == 2
    assert [put(proxy, execution=task("train")) for proxy in loops] == numbers


def test_the_execution_of_a_driver_with_a_pod_is_taken_over(server: Server) -> None:
    number = put(Proxy(lambda: True), execution=task("a"))
    server.kept[number].name = ""
    again = Proxy(lambda: True)
    again.node = "run-1"
    assert put(again, execution=task("a")) == number


def test_what_changes_of_an_execution_is_written(server: Server) -> None:
    proxy = Proxy(lambda: True)
    number = put(proxy, execution=task("a", state=4))
    put(proxy, execution=task("a", state=2))
    assert server.kept[number].last_known_state == 2


def test_a_new_execution_has_a_name_that_another_of_the_same_task_would_have(
    server: Server,
) -> None:
    put(Proxy(lambda: True), execution=task("a"))
    first = server.kept.pop(1).name
    put(Proxy(lambda: True), execution=task("a"))
    assert server.kept.pop(1).name == first
    put(Proxy(lambda: True), execution=task("a", turn=1))
    assert server.kept[1].name != first


def test_what_was_published_may_be_published_again(server: Server) -> None:
    """As by the driver of a cached task, which was killed before its node was written."""
    pairs = [{"event": {"artifact_id": 9, "type": 3}}]
    proxy = Proxy(lambda: True)
    number = put(proxy, execution=task("a"))
    for _ in range(2):
        put(proxy, execution={**task("a"), "id": number}, artifact_event_pairs=pairs)
    assert server.events == [(number, 9)]


def test_an_event_is_written_once(server: Server) -> None:
    pairs = [{"event": {"artifact_id": 9, "type": 3}}]
    proxy = Proxy(lambda: True)
    for _ in range(2):
        put(proxy, execution=task("a"), artifact_event_pairs=pairs)
    assert server.events == [(1, 9)]


def test_whoever_has_lost_the_lease_writes_nothing(server: Server) -> None:
    proxy = Proxy(lambda: False)
    with pytest.raises(grpc.RpcError):
        put(proxy, execution=task("a"))
    assert server.kept == {}
    assert proxy.away.startswith("the lease:")


def test_a_server_that_is_away_is_told(server: Server) -> None:
    server.away = True
    proxy = Proxy(lambda: True)
    with pytest.raises(grpc.RpcError):
        put(proxy, execution=task("a"))
    assert proxy.away == "metadata: away"
