"""Reading what ML Metadata answers."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from google.protobuf import json_format

from kfpkit.core.errors import KitError
from kfpkit.kfp import metadata
from kfpkit.kfp.run import State, Task


def frame(flag: int, body: bytes) -> bytes:
    return bytes([flag]) + struct.pack(">I", len(body)) + body


def message(name: str, fields: dict[str, Any]) -> Any:
    return json_format.ParseDict(fields, metadata.TYPES[name]())


def test_the_messages_have_the_servers_field_numbers() -> None:
    # Context 3 in GetContextByTypeAndNameResponse: field 1, of length 2, whose field 1 is 3.
    answer = metadata.TYPES["GetContextByTypeAndNameResponse"].FromString(b"\x0a\x02\x08\x03")
    assert answer.context.id == 3
    asked = message(
        "GetExecutionsByContextRequest", {"context_id": 3, "options": {"max_result_size": 7}}
    )
    assert asked.SerializeToString() == b"\x08\x03\x12\x02\x08\x07"
    # Execution: state 3 in field 3, made at 1 (8), written last at 2 (9).
    done = metadata.TYPES["Execution"].FromString(b"\x18\x03\x40\x01\x48\x02")
    assert (done.last_known_state, done.create_time_since_epoch) == (3, 1)
    assert done.last_update_time_since_epoch == 2


def test_frames_are_taken_apart() -> None:
    content = frame(0, b"abc") + frame(0x80, b"grpc-status: 0\r\ngrpc-message: fine\r\n")
    assert metadata.unframe("Get", content, {}) == b"abc"


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (frame(0x80, b"grpc-status:5\r\ngrpc-message:no such thing\r\n"), {}),
        (b"", {"grpc-status": "5", "grpc-message": "no such thing"}),
    ],
)
def test_a_refusal_is_an_error(content: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(KitError, match="refuses Get: status 5 no such thing"):
        metadata.unframe("Get", content, headers)


def test_an_answer_without_its_end_is_an_error() -> None:
    with pytest.raises(KitError, match="refuses Get"):
        metadata.unframe("Get", frame(0, b"abc"), {})


def test_an_artifact_has_the_values_that_its_task_gave() -> None:
    given = {
        "rows": {"double_value": 344},
        "share": {"double_value": 0.25},
        "species": {"struct_value": {"list": ["a", "b"]}},
        "versions": {"struct_value": {"struct": {"python": "3.11", "deep": [1, 2.5]}}},
        "display_name": {"string_value": "table"},
        "store_session_info": {
            "string_value": '{"Provider": "minio", "Params": {"secretName": "x"}}'
        },
    }
    properties = [{"key": key, "value": value} for key, value in given.items()]
    sent = message(
        "Artifact",
        {"uri": "minio://b/k", "type": "system.Dataset", "custom_properties": properties},
    )
    found = metadata._output("table", sent)
    assert found.metadata == {
        "rows": 344,
        "share": 0.25,
        "species": ["a", "b"],
        "versions": {"python": "3.11", "deep": [1, 2.5]},
    }
    assert found.access == {"secretName": "x"}
    assert found.rounded == ["rows", "share"]
    assert (found.name, found.type, found.uri) == ("table", "system.Dataset", "minio://b/k")


def test_an_object_of_one_key_called_list_is_not_taken_for_a_list() -> None:
    assert metadata._json({"list": "no list"}) == {"list": "no list"}


SPEC: dict[str, Any] = {
    "root": {
        "dag": {
            "tasks": {
                "importer": {
                    "componentRef": {"name": "comp-importer"},
                    "taskInfo": {"name": "the import"},
                },
                "for-loop-1": {
                    "componentRef": {"name": "comp-for-loop-1"},
                    "taskInfo": {"name": "my loop"},
                },
                "condition-2": {"componentRef": {"name": "comp-condition-2"}},
            }
        }
    },
    "components": {
        "comp-importer": {},
        "comp-work": {},
        "comp-for-loop-1": {"dag": {"tasks": {"work": {"componentRef": {"name": "comp-work"}}}}},
        "comp-condition-2": {"dag": {"tasks": {"work": {"componentRef": {"name": "comp-work"}}}}},
    },
}


def execution(number: int, task: str, graph: int, state: int = 3, **more: int) -> Any:
    """Return an execution as 2.14.3's driver writes it."""
    properties = [{"key": "task_name", "value": {"string_value": task}}]
    for key, value in {"parent_dag_id": graph, **more}.items():
        if value or key != "parent_dag_id":
            properties.append({"key": key, "value": {"int_value": str(value)}})
    sent = {
        "id": number,
        "last_known_state": state,
        "custom_properties": properties,
        "create_time_since_epoch": 1_000,
        "last_update_time_since_epoch": 3_500,
    }
    return metadata._execution(message("Execution", sent))


def test_executions_are_placed_in_their_rounds_also_by_their_names_for_people() -> None:
    found = metadata.place(
        [
            execution(1, "", 0),
            execution(2, "the import", 1),
            execution(3, "my loop", 1, iteration_count=2),
            execution(4, "my loop", 3, iteration_index=0),
            execution(5, "my loop", 3, iteration_index=1),
            execution(6, "work", 5),
            execution(7, "work", 4),
            execution(8, "of no task", 1),
            execution(9, "work", 4),
            execution(10, "importer", 8),  # inside of what has no place
        ],
        SPEC,
    )
    assert {name: one.id for name, one in found.items()} == {
        "": 1,
        "importer": 2,
        "for-loop-1": 3,
        "for-loop-1[0]": 4,
        "for-loop-1[1]": 5,
        "for-loop-1[1]/work": 6,
        "for-loop-1[0]/work": 9,
    }


def test_without_a_workflow_the_states_are_those_of_the_executions() -> None:
    placed = metadata.place(
        [
            execution(1, "", 0, 4),
            execution(2, "importer", 1, 3),
            execution(3, "for-loop-1", 1, 2, iteration_count=2),
            execution(4, "for-loop-1", 3, 3, iteration_index=0),
            execution(5, "for-loop-1", 3, 4, iteration_index=1),
            execution(6, "work", 4, 5),
            execution(7, "work", 5, 4),
            execution(8, "condition-2", 1, 6),
        ],
        SPEC,
    )
    tasks = [Task(name, "work") for name in ("importer", "for-loop-1/work", "condition-2/work")]
    assert all(metadata.update(task, placed) for task in tasks)
    imported, looped, left_out = tasks
    assert (imported.state, imported.seconds) == (State.SUCCEEDED, 2.5)
    assert [(row.state, row.cached) for row in looped.rounds] == [
        (State.SUCCEEDED, True),
        (State.FAILED, False),
    ]
    assert looped.state is State.FAILED
    assert (left_out.state, left_out.started) == (State.SKIPPED, None)
    assert not metadata.update(imported, {})


def test_a_cached_execution_has_the_pod_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def sent(number: int, **more: str) -> Any:
        properties = [{"key": k, "value": {"string_value": v}} for k, v in more.items()]
        return message("Execution", {"id": number, "custom_properties": properties})

    def call(_: str, method: str, request: dict[str, Any]) -> Any:
        if method == "GetContextByTypeAndName":
            return message(f"{method}Response", {"context": {"id": 9}})
        answer = metadata.TYPES[f"{method}Response"]()
        if method == "GetExecutionsByContext":
            answer.executions.append(sent(7, cached_execution_id="3"))
            answer.executions.append(sent(8, pod_name="own"))
        if method == "GetExecutionsByID":
            assert request == {"execution_ids": [3]}
            answer.executions.append(sent(3, pod_name="first"))
        return answer

    monkeypatch.setattr(metadata, "_call", call)
    assert [one.pod for one in metadata.executions("nowhere", "run")] == ["first", "own"]


def test_a_cached_execution_names_the_run_that_made_its_outputs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def sent(number: int, graph: int = 0, name: str = "", cached: str = "") -> Any:
        properties: list[dict[str, Any]] = []
        if graph:
            properties.append({"key": "parent_dag_id", "value": {"int_value": graph}})
        if cached:
            properties.append({"key": "cached_execution_id", "value": {"string_value": cached}})
        return message("Execution", {"id": number, "name": name, "custom_properties": properties})

    #: Of two earlier runs; in the first the task was in a loop, and 66 is no longer there.
    others = {
        3: sent(3, 2),
        2: sent(2, 1),
        1: sent(1, name="run/first"),
        5: sent(5, 66),
    }
    asked: list[list[int]] = []

    def call(_: str, method: str, request: dict[str, Any]) -> Any:
        if method == "GetContextByTypeAndName":
            return message(f"{method}Response", {"context": {"id": 9}})
        answer = metadata.TYPES[f"{method}Response"]()
        if method == "GetExecutionsByContext":
            answer.executions.append(sent(10, name="run/this"))
            answer.executions.append(sent(11, 10, cached="3"))
            answer.executions.append(sent(12, 10, cached="5"))
            answer.executions.append(sent(13, 10))
            answer.executions.append(sent(14, 10, cached="13"))
        if method == "GetExecutionsByID":
            asked.append(request["execution_ids"])
            answer.executions.extend(others[n] for n in request["execution_ids"] if n in others)
        return answer

    monkeypatch.setattr(metadata, "_call", call)
    made_by = {one.id: one.made_by for one in metadata.executions("nowhere", "this")}
    assert made_by == {10: "", 11: "first", 12: "", 13: "", 14: "this"}
    assert asked == [[3, 5], [2, 66], [1]], "many at once, and none twice"


def test_the_home_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    session = '{"Provider":"minio","Params":{"secretName":"s","endpoint":"e:9000"}}'
    given = {"pipeline_root": "minio://mlpipeline/v2/p/1?x=y", "store_session_info": session}
    properties = [{"key": k, "value": {"string_value": v}} for k, v in given.items()]
    answer = message(
        "GetContextByTypeAndNameResponse", {"context": {"id": 1, "custom_properties": properties}}
    )
    monkeypatch.setattr(metadata, "_call", lambda *_: answer)
    assert metadata.home("nowhere", "run") == metadata.Home(
        "minio://mlpipeline/v2/p/1", {"secretName": "s", "endpoint": "e:9000"}
    )


@pytest.mark.parametrize("session", ["", "null", "{}", '{"Params":{"fromEnv":"true"}}', "no JSON"])
def test_a_store_of_which_no_secret_is_noted(session: str) -> None:
    assert metadata._access({"store_session_info": session}) == {}
