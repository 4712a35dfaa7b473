"""The way of a driver to the metadata server: whatever happens, a node has one execution.

KFP's driver makes a new execution each time it runs. Here, on its way, the request to make one
becomes a request to change the one that the same task of the same graph has already, so that a
driver that was killed at any step can be run again.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc

from kfpkit.kfp.metadata import TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

#: The metadata server's Service and its port, as the drivers know them.
SERVER = "metadata-grpc-service:8080"

SERVICE = "ml_metadata.MetadataStoreService"

#: Seconds for one answer.
TIMEOUT = 20.0

#: What a write must be over by: less than what is left of the lease when it begins.
WRITE = 3.0

#: Answers after which a driver is run again: the server is away, or has the execution by now.
_LATER = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ALREADY_EXISTS,
)

_ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_CHANNEL = [*_ANY_SIZE, ("grpc.max_reconnect_backoff_ms", 1000)]


#: Before the names that executions get here.
_OURS = "kfpkit/"

Identity = tuple[str, int, str, int]


class Proxy(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Hands a driver's calls on to the metadata server, on a port of its own.

    Args:
        held: Whether this replica may still write.

    Attributes:
        port: Where it listens, on this machine only.
        node: ID of the node whose driver calls.
        away: Why the metadata server did not answer, once that was so.
    """

    def __init__(self, held: Callable[[], bool]) -> None:
        self._held = held
        self._channel = grpc.insecure_channel(SERVER, options=_CHANNEL)
        self._server = grpc.server(ThreadPoolExecutor(2), handlers=[self], options=_ANY_SIZE)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.node = ""
        self.away = ""

    def service(self, handler_call_details: Any) -> Any:
        """Return what answers a call: bytes there, bytes back."""
        method = handler_call_details.method

        def answer(request: bytes, context: Any) -> bytes:
            try:
                if method != f"/{SERVICE}/PutExecution":
                    return self._call(method, request)
                request = self._once(request)
                if not context.is_active():  # the driver has been ended meanwhile
                    context.abort(grpc.StatusCode.CANCELLED, "nobody waits for it")
                if not self._held():
                    self.away = "the lease: another replica drives"
                    context.abort(grpc.StatusCode.FAILED_PRECONDITION, self.away)
                return self._call(method, request, WRITE)
            except grpc.RpcError as error:
                if error.code() in _LATER:
                    self.away = f"metadata: {error.details()}"
                context.abort(error.code(), error.details())
                raise

        return grpc.unary_unary_rpc_method_handler(answer)

    def _once(self, request: bytes) -> bytes:
        """Return the request, as one that changes the execution where there is one already."""
        message = TYPES["PutExecutionRequest"].FromString(request)
        execution = message.execution
        if not execution.id and (wanted := _identity(execution)):
            # The server refuses a second one of a name, should two ever ask at the same time. The
            # node is in it: 2.14.3 tells a graph's loops by a name that users give.
            text = repr((message.contexts[-1].id, wanted, self.node))
            name = f"{_OURS}{hashlib.sha256(text.encode()).hexdigest()}"
            if found := self._existing(message, wanted, name):
                execution.id = found
            elif not execution.name:
                execution.name = name
        if execution.id and message.artifact_event_pairs:
            self._drop_events(message)
        return bytes(message.SerializeToString())

    def _existing(self, message: Any, wanted: Identity, ours: str) -> int:
        """Return the number of the execution that the same task has already, or 0.

        Of those of the same graph, task and round it is the one that has our name for the node, or
        a driver's with a pod, which has none; the pipeline's own execution has a name from KFP.
        """
        if len(message.contexts) < 2:
            return 0
        given, graph, *_ = wanted
        query = f"name = {json.dumps(given)}" if given else ""
        if not given:
            query = f"custom_properties.parent_dag_id.int_value = {graph}"
        token = ""
        while True:
            page = self._ask(
                "GetExecutionsByContext",
                context_id=message.contexts[1].id,  # the run's; the first is the pipeline's
                options={"max_result_size": 100, "next_page_token": token, "filter_query": query},
            )
            for execution in page.executions:
                another = execution.name.startswith(_OURS) and execution.name != ours
                if _identity(execution) == wanted and not another:
                    return int(execution.id)
            token = page.next_page_token
            if not token:
                return 0

    def _drop_events(self, message: Any) -> None:
        """Leave out what was written along with the execution: it cannot be written twice."""
        events = self._ask("GetEventsByExecutionIDs", execution_ids=[message.execution.id]).events
        known = {(event.artifact_id, event.type) for event in events}
        pairs = [
            pair
            for pair in message.artifact_event_pairs
            if (pair.event.artifact_id or pair.artifact.id, pair.event.type) not in known
        ]
        del message.artifact_event_pairs[:]
        message.artifact_event_pairs.extend(pairs)

    def _ask(self, method: str, **fields: Any) -> Any:
        request = TYPES[f"{method}Request"](**fields).SerializeToString()
        return TYPES[f"{method}Response"].FromString(self._call(f"/{SERVICE}/{method}", request))

    def _call(self, method: str, request: bytes, seconds: float = TIMEOUT) -> bytes:
        answer: bytes = self._channel.unary_unary(method)(request, timeout=seconds)
        return answer


def _identity(execution: Any) -> Identity | None:
    """Return what an execution is known by: graph, task and round (-1 for none), or its name."""
    values = {p.key: p.value for p in execution.custom_properties}
    if "parent_dag_id" not in values:
        return (execution.name, 0, "", -1) if execution.name else None
    turn = values["iteration_index"].int_value if "iteration_index" in values else -1
    return "", values["parent_dag_id"].int_value, values["task_name"].string_value, turn
