"""What ML Metadata knows of a run: each task's state, parameters and output artifacts.

The KFP API does not tell them, so they are read where the web UI reads them: from the metadata
server behind its grpc-web bridge. That is HTTP, so it needs no gRPC library; and the server's own
Python package needs a protobuf too old for kfp, so the few messages are described here, by the
field numbers of ML Metadata 1.14 (`ml_metadata/proto/metadata_store.proto`).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import requests
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from kfpkit.core.errors import KitError
from kfpkit.kfp.run import State, sum_up
from kfpkit.kfp.values import as_passed
from kfpkit.kfp.workflow import graphs_of, set_rounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kfpkit.kfp.run import Task
    from kfpkit.kfp.spec import Spec

#: Seconds for one answer.
TIMEOUT = 30.0

#: The most executions that the server gives at once.
PAGE = 100

#: `Event.type` of an artifact that an execution wrote.
_OUTPUT = 4

#: `Execution.last_known_state`; a task that its condition left out is CANCELED (6).
_STATES = {
    2: State.RUNNING,
    3: State.SUCCEEDED,
    4: State.FAILED,
    5: State.SUCCEEDED,
    6: State.SKIPPED,
}
_CACHED = 5

#: Custom properties of an artifact that are KFP's, not the task's.
_OF_KFP = ("display_name", "store_session_info")

#: Of each message: name, type and number of its fields; `*` before a type is for repeated.
_MESSAGES = {
    "Value": "int_value int64 1, double_value double 2, string_value string 3, "
    "struct_value google.protobuf.Struct 4, bool_value bool 6",
    # What a map field is on the wire.
    "Property": "key string 1, value Value 2",
    "Context": "id int64 1, custom_properties *Property 5",
    "Execution": "id int64 1, name string 6, last_known_state int32 3, "
    "custom_properties *Property 5, create_time_since_epoch int64 8, "
    "last_update_time_since_epoch int64 9",
    "Artifact": "id int64 1, uri string 3, custom_properties *Property 5, type string 8",
    "Step": "index int64 1, key string 2",
    "Path": "steps *Step 1",
    "Event": "artifact_id int64 1, execution_id int64 2, path Path 3, type int32 4",
    "Options": "max_result_size int32 1, next_page_token string 3, filter_query string 4",
    "GetContextByTypeAndNameRequest": "type_name string 1, context_name string 2",
    "GetContextByTypeAndNameResponse": "context Context 1",
    "GetExecutionsByContextRequest": "context_id int64 1, options Options 2",
    "GetExecutionsByContextResponse": "executions *Execution 1, next_page_token string 2",
    "GetExecutionsByIDRequest": "execution_ids *int64 1",
    "GetExecutionsByIDResponse": "executions *Execution 1",
    "GetEventsByExecutionIDsRequest": "execution_ids *int64 1",
    "GetEventsByExecutionIDsResponse": "events *Event 1",
    "GetArtifactsByIDRequest": "artifact_ids *int64 1",
    "GetArtifactsByIDResponse": "artifacts *Artifact 1",
    "Pair": "artifact Artifact 1, event Event 2",
    "PutExecutionRequest": "execution Execution 1, artifact_event_pairs *Pair 2, "
    "contexts *Context 3",
}


@dataclass(frozen=True)
class Output:
    """An artifact as a task wrote it.

    Attributes:
        name: The output's name.
        type: The artifact type's schema title.
        uri: Where it is.
        metadata: JSON values by key.
        access: How its object store is reached, as the launcher wrote it down: `Params` of the
            store's session; empty where that is the pod's own affair.
        rounded: Keys of the metadata that are numbers of their own. The server writes them into
            its database with six decimals, and none above 1e65; those in lists and objects it
            keeps as they are.
    """

    name: str
    type: str
    uri: str
    metadata: dict[str, Any]
    access: dict[str, str]
    rounded: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Home:
    """Where a run keeps what its tasks write.

    Attributes:
        root: URI of its folder; empty where the run has not started.
        access: How its object store is reached.
    """

    root: str = ""
    access: dict[str, str] = field(default_factory=dict)


@dataclass
class Execution:
    """An execution of a task, of a graph, or of a round of a loop.

    Attributes:
        id: The metadata server's number for it.
        task: The task's name inside its graph, or what it is called for people.
        graph: The number of the graph's own execution; 0 for the pipeline itself.
        round: The number of the round, if it is one; its graph is then the loop.
        state: The state; PENDING where the server knows none.
        cached: Whether its outputs are an earlier run's.
        started: When KFP took it up.
        finished: When it was last written, which is its end if it has ended.
        pod: The pod that wrote the outputs, which is an earlier run's if it is cached; empty where
            there is none.
        made_by: ID of that earlier run; empty where it is not cached, or the server has that run no
            longer.
        inputs: Values of the input parameters.
        outputs: Values of the output parameters.
        artifacts: The output artifacts by name.
    """

    id: int
    task: str
    graph: int
    round: int | None = None
    state: State = State.PENDING
    cached: bool = False
    started: datetime | None = None
    finished: datetime | None = None
    pod: str = ""
    made_by: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Output] = field(default_factory=list)


def executions(address: str, run_id: str) -> list[Execution]:
    """Return all executions of a run, oldest first; none for a run that has not started.

    Args:
        address: Host and port of the grpc-web bridge.
        run_id: The run's ID.

    Raises:
        KitError: The bridge or the metadata server does not answer, or refuses.
    """
    context = _context(address, run_id)
    if not context.id:
        return []
    messages: dict[int, Any] = {}
    token = ""
    while True:
        page = _call(
            address,
            "GetExecutionsByContext",
            {
                "context_id": context.id,
                "options": {"max_result_size": PAGE, "next_page_token": token},
            },
        )
        messages |= {message.id: message for message in page.executions}
        token = page.next_page_token
        if not token:
            break
    executions = {number: _execution(messages[number]) for number in sorted(messages)}
    _add_artifacts(address, executions)
    _add_origins(address, executions, messages)
    return list(executions.values())


def home(address: str, run_id: str) -> Home:
    """Return where a run keeps what its tasks write; the arguments are those of `executions`.

    Raises:
        KitError: The bridge or the metadata server does not answer, or refuses.
    """
    properties = _properties(_context(address, run_id).custom_properties)
    root = str(properties.get("pipeline_root", "")).partition("?")[0]
    return Home(root, _access(properties))


def place(executions: Iterable[Execution], spec: Spec) -> dict[str, Execution]:
    """Return the executions by the names of their rows and graphs, `for-loop-1[0]/train`.

    Where there are several of one name, as after KFP's own retry of a run, the newest counts.

    Args:
        executions: All executions of a run, oldest first.
        spec: The compiled pipeline.
    """
    placed: dict[str, Execution] = {}
    graphs: dict[int, tuple[str, Mapping[str, Any]]] = {}
    for execution in executions:
        if execution.graph and execution.graph not in graphs:
            continue  # in a graph that has no place itself
        name, component = graphs.get(execution.graph, ("", spec["root"]))
        if execution.round is not None:
            name += f"[{execution.round}]"
        elif execution.graph:
            tasks = component.get("dag", {}).get("tasks", {})
            inner = task_called(execution.task, tasks)
            if inner is None:
                continue
            name = f"{name}/{inner}".removeprefix("/")
            component = spec["components"][tasks[inner]["componentRef"]["name"]]
        graphs[execution.id] = (name, component)
        placed[name] = execution
    return placed


def task_called(name: str, tasks: Mapping[str, Any]) -> str | None:
    """Return the task of a graph that an execution is of; None where it is of none."""
    if name in tasks:
        return name
    # 2.14.3 calls loops and importers by their names for people.
    named = (key for key, task in tasks.items() if task.get("taskInfo", {}).get("name") == name)
    return next(named, None)


def update(task: Task, placed: Mapping[str, Execution]) -> bool:
    """Bring a task and its rounds to where their executions are, as far as those tell.

    Args:
        task: The task; what is over stays as it is.
        placed: What `place` returned.

    Returns:
        Whether the task's state changed.
    """
    before = task.state
    for row in set_rounds(task, placed):
        if row.state not in (State.PENDING, State.RUNNING):
            continue
        around = [placed[graph] for graph in graphs_of(row.name) if graph in placed]
        if execution := placed.get(row.name):
            row.state, row.cached = execution.state, execution.cached
            ran = row.state is not State.SKIPPED
            row.started = execution.started if ran else None
            row.finished = execution.finished if ran and row.state is not State.RUNNING else None
        elif any(graph.state is State.SKIPPED for graph in around):
            row.state = State.SKIPPED
    sum_up(task)
    return task.state is not before


def _context(address: str, run_id: str) -> Any:
    asked = {"type_name": "system.PipelineRun", "context_name": run_id}
    return _call(address, "GetContextByTypeAndName", asked).context


def _add_origins(
    address: str, executions: dict[int, Execution], messages: Mapping[int, Any]
) -> None:
    """Name the pods; of a cached execution that of the one whose outputs it has, and its run."""
    own = {number: _properties(m.custom_properties) for number, m in messages.items()}
    first = {number: int(p.get("cached_execution_id") or number) for number, p in own.items()}
    names = {number: m.name for number, m in messages.items()}
    asked = set(own)
    # Those that wrote the outputs, and the graphs around them up to the pipeline's own.
    while others := sorted({*first.values(), *_graphs(own)} - asked):
        asked |= {*others}
        answer = _call(address, "GetExecutionsByID", {"execution_ids": others})
        own |= {m.id: _properties(m.custom_properties) for m in answer.executions}
        names |= {m.id: m.name for m in answer.executions}
    for number, execution in executions.items():
        at = first[number]
        execution.pod = str(own.get(at, {}).get("pod_name", ""))
        while graph := own.get(at, {}).get("parent_dag_id", 0):
            at = graph
        # So KFP names the pipeline's own: `backend/src/v2/driver/root_dag.go`.
        if first[number] != number and names.get(at, "").startswith("run/"):
            execution.made_by = names[at].removeprefix("run/")


def _graphs(properties: Mapping[int, Mapping[str, Any]]) -> set[int]:
    """Return the graphs that executions are in."""
    return {graph for each in properties.values() if (graph := each.get("parent_dag_id", 0))}


def _add_artifacts(address: str, executions: dict[int, Execution]) -> None:
    if not executions:
        return
    answer = _call(address, "GetEventsByExecutionIDs", {"execution_ids": sorted(executions)})
    events = [event for event in answer.events if event.type == _OUTPUT]
    if not events:
        return
    ids = sorted({event.artifact_id for event in events})
    answer = _call(address, "GetArtifactsByID", {"artifact_ids": ids})
    artifacts = {artifact.id: artifact for artifact in answer.artifacts}
    for event in sorted(events, key=lambda event: (event.execution_id, event.artifact_id)):
        name = event.path.steps[0].key if event.path.steps else ""
        if event.artifact_id in artifacts:
            output = _output(name, artifacts[event.artifact_id])
            executions[event.execution_id].artifacts.append(output)


def _execution(message: Any) -> Execution:
    properties = _properties(message.custom_properties)
    return Execution(
        id=message.id,
        task=properties.get("task_name", ""),
        graph=properties.get("parent_dag_id", 0),
        round=properties.get("iteration_index"),
        state=_STATES.get(message.last_known_state, State.PENDING),
        cached=message.last_known_state == _CACHED,
        started=_moment(message.create_time_since_epoch),
        finished=_moment(message.last_update_time_since_epoch),
        inputs=properties.get("inputs", {}),
        outputs=properties.get("outputs", {}),
    )


def _moment(milliseconds: int) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def _output(name: str, message: Any) -> Output:
    properties = _properties(message.custom_properties)
    metadata = {key: _json(value) for key, value in properties.items() if key not in _OF_KFP}
    numbers = {p.key for p in message.custom_properties if p.value.HasField("double_value")}
    rounded = sorted(numbers & metadata.keys())
    return Output(name, message.type, message.uri, metadata, _access(properties), rounded)


def _access(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return how a store is reached; empty where no Secret for it is named."""
    try:
        session = json.loads(properties.get("store_session_info") or "{}")
        parameters: dict[str, str] = session["Params"]
    except (ValueError, TypeError, KeyError):
        return {}
    return parameters if parameters and parameters.get("secretName") else {}


def _properties(entries: Iterable[Any]) -> dict[str, Any]:
    # A map has no order on the wire.
    return {entry.key: _value(entry.value) for entry in sorted(entries, key=lambda e: str(e.key))}


def _value(value: Any) -> Any:
    """Return a property in Python's types; a whole number as an integer."""
    for name in ("string_value", "double_value", "int_value", "bool_value", "struct_value"):
        if value.HasField(name):
            read = getattr(value, name)
            return as_passed(json_format.MessageToDict(read) if name == "struct_value" else read)
    return None


def _json(value: Any) -> Any:
    """Return metadata as its task gave it: KFP wraps a list or an object into another object."""
    if isinstance(value, dict) and len(value) == 1:
        for key, kind in (("list", list), ("struct", dict)):
            if isinstance(value.get(key), kind):
                return value[key]
    return value


def _call(address: str, method: str, request: dict[str, Any]) -> Any:
    """Call the metadata server: one message there, one back, in grpc-web's frames."""
    body = json_format.ParseDict(request, TYPES[f"{method}Request"]()).SerializeToString()
    url = f"http://{address}/ml_metadata.MetadataStoreService/{method}"
    kind = "application/grpc-web+proto"
    try:
        answer = requests.post(
            url,
            data=b"\0" + struct.pack(">I", len(body)) + body,
            headers={"Content-Type": kind, "Accept": kind, "X-Grpc-Web": "1"},
            timeout=TIMEOUT,
        )
        answer.raise_for_status()
    except requests.RequestException as error:
        raise KitError(f"the metadata server does not answer: {error}") from error
    return TYPES[f"{method}Response"].FromString(unframe(method, answer.content, answer.headers))


def unframe(method: str, content: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the message of a grpc-web answer.

    Args:
        method: What was called, for the error.
        content: The answer's body: frames of a flag, a length and as many bytes.
        headers: The answer's headers, which hold the status where there is no body.

    Raises:
        KitError: The server refused, or the answer ends before its status.
    """
    status = {key: headers[key] for key in ("grpc-status", "grpc-message") if key in headers}
    message = b""
    while len(content) >= 5:
        flag, length = content[0], struct.unpack(">I", content[1:5])[0]
        frame, content = content[5 : 5 + length], content[5 + length :]
        if not flag & 0x80:
            message += frame
            continue
        for row in frame.decode(errors="replace").splitlines():  # trailers, written as headers
            key, _, value = row.partition(":")
            status[key.strip().lower()] = value.strip()
    if status.get("grpc-status") != "0":
        why = f"status {status.get('grpc-status', 'missing')} {status.get('grpc-message', '')}"
        raise KitError(f"the metadata server refuses {method}: {why.strip()}")
    return message


def _types() -> dict[str, Any]:
    """Return a class for each message."""
    import google.protobuf.struct_pb2  # noqa: F401 - known to the pool by being imported

    kinds = descriptor_pb2.FieldDescriptorProto
    scalars = {
        "int64": kinds.TYPE_INT64,
        "int32": kinds.TYPE_INT32,
        "double": kinds.TYPE_DOUBLE,
        "string": kinds.TYPE_STRING,
        "bool": kinds.TYPE_BOOL,
    }
    package = "kfpkit.metadata"
    file = descriptor_pb2.FileDescriptorProto(
        name="kfpkit/metadata.proto",
        package=package,
        syntax="proto2",
        dependency=["google/protobuf/struct.proto"],
    )
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for text in fields.split(", "):
            name, kind, number = text.split()
            one = described.field.add(name=name, number=int(number), label=kinds.LABEL_OPTIONAL)
            if kind.startswith("*"):
                one.label = kinds.LABEL_REPEATED
                kind = kind[1:]
            if kind in scalars:
                one.type = scalars[kind]
            else:
                one.type = kinds.TYPE_MESSAGE
                one.type_name = f".{kind}" if "." in kind else f".{package}.{kind}"
    pool = descriptor_pool.Default()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in _MESSAGES
    }


#: A class for each message; it keeps what is not described here.
TYPES = _types()
