"""A run's parameters: from `name=value` texts to the values a compiled pipeline accepts."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from kfpkit.errors import BadInputError
from kfpkit.runs import spec as ir
from kfpkit.runs.run import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kfpkit.runs.spec import Spec


def parse(spec: Spec, arguments: Sequence[str]) -> list[Parameter]:
    """Return all parameters of a run: those given and the defaults of the others.

    Args:
        spec: The compiled pipeline.
        arguments: Texts `name=value`; lists and structs are written as JSON.

    Raises:
        BadInputError: An argument has no `=`, a name is unknown or given twice, a value is not of
            its parameter's type, or a parameter without default is missing.
    """
    declared = ir.parameters(spec)
    given: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise BadInputError(f"{argument!r} is not name=value", accepted(spec))
        if name not in declared:
            raise BadInputError(f"the pipeline has no parameter {name!r}", accepted(spec))
        if name in given:
            raise BadInputError(f"parameter {name!r} is given twice", "Give it once")
        kind, read = _type(declared[name])
        try:
            given[name] = read(text)
        except ValueError:
            raise BadInputError(
                f"parameter {name!r} takes {kind}, not {text!r}", accepted(spec)
            ) from None
    missing = [
        name
        for name, declaration in declared.items()
        if name not in given and not declaration.get("isOptional") and _no_default(declaration)
    ]
    if missing:
        raise BadInputError(
            f"parameters without a default are missing: {', '.join(missing)}", accepted(spec)
        )
    return complete(spec, given)


def complete(spec: Spec, given: Mapping[str, Any]) -> list[Parameter]:
    """Return all parameters of a run: those given and the defaults of the others.

    Args:
        spec: The compiled pipeline.
        given: Values by name.
    """
    return [
        Parameter(
            name=name,
            type=declaration["parameterType"],
            value=given.get(name, _default(declaration)),
            default=_default(declaration),
            description=declaration.get("description", ""),
        )
        for name, declaration in ir.parameters(spec).items()
    ]


def accepted(spec: Spec) -> str:
    """Return one sentence with the parameters that a pipeline accepts, their types and defaults."""
    listed = [
        f"{name} ({_type(declaration)[0]}"
        + ("" if _no_default(declaration) else f", default {json.dumps(_default(declaration))}")
        + ")"
        for name, declaration in ir.parameters(spec).items()
    ]
    return "Accepted: " + "; ".join(listed) if listed else "It accepts none"


def _integer(text: str) -> int:
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)  # JSON, which carries the value to the task, has no such number
    return value


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "false": False}[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _json_of(kind: type) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        value = json.loads(text)
        if not isinstance(value, kind):
            raise ValueError(text)  # noqa: TRY004 - bad text, not a bad argument of ours
        return value

    return read


#: What a person calls an IR type, and what reads its texts.
_TYPES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "NUMBER_INTEGER": ("an integer", _integer),
    "NUMBER_DOUBLE": ("a number", _number),
    "STRING": ("a text", str),
    "BOOLEAN": ("true or false", _boolean),
    "LIST": ("a JSON list", _json_of(list)),
    "STRUCT": ("a JSON object", _json_of(dict)),
}


def _type(declaration: dict[str, Any]) -> tuple[str, Callable[[str], Any]]:
    return _TYPES[declaration["parameterType"]]


def _no_default(declaration: dict[str, Any]) -> bool:
    return declaration.get("defaultValue") is None


def _default(declaration: dict[str, Any]) -> Any:
    """Return the default in its own type: the IR holds every number as a float."""
    default = declaration.get("defaultValue")
    if declaration["parameterType"] == "NUMBER_INTEGER" and default is not None:
        return int(default)
    return _whole(default)


def _whole(value: Any) -> Any:
    """Return whole numbers inside lists and structs as integers."""
    if isinstance(value, list):
        return [_whole_number(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole_number(item) for key, item in value.items()}
    return value


def _whole_number(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return _whole(value)
