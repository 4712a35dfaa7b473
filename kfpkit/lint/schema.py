"""What the protos of a release know, from descriptors/ beside this module.

The descriptors are those that protoc left in the PyPI packages `kfp-pipeline-spec` and
`kfp-kubernetes` of the release (`scripts/descriptors.py`): the contract that its API server, its
driver and its launcher are compiled from.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import (
    any_pb2,
    descriptor_pool,
    duration_pb2,
    json_format,
    message_factory,
    struct_pb2,
    text_format,
)
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import status_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The newest release that descriptors/ has.
NEWEST = "2.17.0"

PIPELINE = "ml_pipelines.PipelineSpec"
DEPLOYMENT = "ml_pipelines.PipelineDeploymentConfig"
PLATFORM = "ml_pipelines.PlatformSpec"
KUBERNETES = "kfp_kubernetes.KubernetesExecutorConfig"

_FOLDER = Path(__file__).parent / "descriptors"

#: What the files import, as the protobuf library and googleapis-common-protos describe it.
_IMPORTED = (any_pb2, duration_pb2, struct_pb2, status_pb2)


@cache
def message(release: str, name: str) -> Any:
    """Return the class of a message, as a release has it."""
    return message_factory.GetMessageClass(_pool(release).FindMessageTypeByName(name))


@cache
def _pool(release: str) -> Any:
    text = (_FOLDER / f"{release}.txtpb").read_text(encoding="utf-8")
    pool = descriptor_pool.DescriptorPool()
    for module in _IMPORTED:
        pool.Add(FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb))
    for file in text_format.Parse(text, FileDescriptorSet()).file:
        pool.Add(file)
    return pool


def normal(name: str, value: Any) -> dict[str, Any]:
    """Return a value as protobuf's JSON has it, without what the newest release has no field for.

    Args:
        name: The message that it is.
        value: What a document has; no infinity and no NaN.

    Raises:
        ValueError: It has not the message's form.
    """
    try:
        # What passes over unknown fields takes a text for a message without any that it knows.
        for _ in unknown(NEWEST, name, value):
            pass
        parsed = json_format.ParseDict(value, message(NEWEST, name)(), ignore_unknown_fields=True)
        # A map of protobuf has another order each time, and findings one.
        found = json.loads(json.dumps(json_format.MessageToDict(parsed), sort_keys=True))
        return dict(found)
    except (json_format.Error, ValueError, RecursionError, TypeError, AttributeError) as error:
        raise ValueError(" ".join(str(error).split())) from None


def unknown(release: str, name: str, value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the IR path, and what it is, of all that a message of a release does not know.

    That is a field, or a value of an enumeration. Both spellings of a field's name count.

    Raises:
        ValueError: Something else than a mapping is in the place of a message.
    """
    yield from _unknown(message(release, name).DESCRIPTOR, value, path)


def _unknown(descriptor: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if descriptor.full_name.startswith("google."):
        return
    _require_mapping(value, path)
    fields = {field.json_name: field for field in descriptor.fields}
    fields |= descriptor.fields_by_name
    dot = f"{path}." if path else ""
    for key, inner in value.items():
        if key not in fields:
            yield f"{dot}{key}", f"the field {key} of {descriptor.name}"
        elif inner is not None:
            yield from _inside(fields[key], inner, f"{dot}{key}")


def _require_mapping(value: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{path} is no mapping")  # noqa: TRY004 - of what a file holds


def _inside(field: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if field.message_type and field.message_type.GetOptions().map_entry:
        _require_mapping(value, path)
        field = field.message_type.fields_by_name["value"]
        values = [(f"{path}.{key}", one) for key, one in value.items()]
    elif isinstance(value, list):
        values = [(f"{path}[{number}]", one) for number, one in enumerate(value)]
    else:
        values = [(path, value)]
    for place, one in values:
        if field.message_type:
            yield from _unknown(field.message_type, one, place)
        elif field.enum_type and isinstance(one, str) and one not in field.enum_type.values_by_name:
            yield place, f"the value {one} of {field.enum_type.name}"
