"""Reading what ML Metadata answers."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from google.protobuf import json_format

from kfpkit.errors import KitError
from kfpkit.runs import metadata


def frame(flag: int, body: bytes) -> bytes:
    return bytes([flag]) + struct.pack(">I", len(body)) + body


def message(name: str, fields: dict[str, Any]) -> Any:
    return json_format.ParseDict(fields, metadata._TYPES[name]())


def test_the_messages_have_the_servers_field_numbers() -> None:
    # Context 3 in GetContextByTypeAndNameResponse: field 1, of length 2, whose field 1 is 3.
    answer = metadata._TYPES["GetContextByTypeAndNameResponse"].FromString(b"\x0a\x02\x08\x03")
    assert answer.context.id == 3
    asked = message(
        "GetExecutionsByContextRequest", {"context_id": 3, "options": {"max_result_size": 7}}
    )
    assert asked.SerializeToString() == b"\x08\x03\x12\x02\x08\x07"


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
