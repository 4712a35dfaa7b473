"""A run's parameters: from `name=value` texts to the values a compiled pipeline accepts."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from kfpkit.core.errors import BadInputError
from kfpkit.kfp import spec as ir
from kfpkit.kfp.run import Parameter
from kfpkit.kfp.values import LARGEST_INTEGER, as_passed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kfpkit.kfp.spec import Spec


#: How many characters of a bad value a message shows.
SHOWN_CHARACTERS = 60

_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def parse(spec: Spec, arguments: Sequence[str]) -> list[Parameter]:
    """Return all parameters of a run: those given and the defaults of the others.

    Args:
        spec: The compiled pipeline.
        arguments: Texts `name=value`; lists and structs are written as JSON.

    Raises:
        BadInputError: An argument has no `=`, a name is unknown or given twice, a value is not of
            its parameter's type or would not arrive as it is written, or a parameter without
            default is missing.
    """
    declared = ir.parameters(spec)
    given: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise BadInputError(f"{_shown(argument)} is not name=value", accepted(spec))
        if name not in declared:
            raise BadInputError(f"the pipeline has no parameter {_shown(name)}", accepted(spec))
        if name in given:
            raise BadInputError(f"parameter {name!r} is given twice", "Give it once")
        kind, read = _type(declared[name])
        try:
            given[name] = read(text)
        except ValueError as error:
            why = f" ({error})" if str(error) else ""
            raise BadInputError(
                f"parameter {name!r} takes {kind}, not {_shown(text)}{why}", accepted(spec)
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


def parts(value: Any) -> Iterator[Any]:
    """Yield a JSON value, or all that a list or an object holds at any depth, keys included."""
    if isinstance(value, list):
        for item in value:
            yield from parts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from parts(item)
    else:
        yield value


def read_json(text: str) -> Any:
    """Return the value of a JSON text that a run can hold as it is written.

    Raises:
        ValueError: It is no JSON, has a key twice, or holds what a run would change: integers
            beyond 2^53, numbers beyond a double's range, halves of a surrogate pair.
    """
    try:
        value = json.loads(
            text,
            parse_int=_exact,
            parse_float=_finite,
            parse_constant=_no_constant,
            object_pairs_hook=_object,
        )
        for part in parts(value):
            if isinstance(part, str):
                _text(part)
    except RecursionError:
        raise ValueError("too many brackets inside each other") from None
    return value


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("this is not Unicode, or not in UTF-8") from None
    return text


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError
    return _exact(text)


def _exact(text: str) -> int:
    # By the length first: int() reads no more than some thousand digits.
    if len(text.lstrip("-0")) > len(str(LARGEST_INTEGER)) or abs(int(text)) > LARGEST_INTEGER:
        raise ValueError("an integer beyond 2^53 loses digits: pass it as a text")
    return int(text)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    value = _finite(text)
    if _INTEGER.fullmatch(text) and int(text) != value:
        raise ValueError("an integer beyond 2^53 loses digits: write it with a point if it may")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("beyond the largest number, 1.8e308")
    if value == 0 and text.lower().partition("e")[0].strip("-0."):
        raise ValueError("so near to 0 that it would become 0")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} is there twice")
        found[key] = value
    return found


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "false": False}[text.lower()]
    except KeyError:
        raise ValueError from None


def _json_of(kind: type) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        value = read_json(text)
        if not isinstance(value, kind):
            raise ValueError  # noqa: TRY004 - bad text, not a bad argument of ours
        return value

    return read


def _shown(text: str) -> str:
    if len(text) <= SHOWN_CHARACTERS:
        return repr(text)
    return f"{text[:SHOWN_CHARACTERS]!r}… of {len(text)} characters"


#: What a person calls an IR type, and what reads its texts.
_TYPES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "NUMBER_INTEGER": ("an integer", _integer),
    "NUMBER_DOUBLE": ("a number", _number),
    "STRING": ("a text", _text),
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
    return as_passed(default) if isinstance(default, list | dict) else default
