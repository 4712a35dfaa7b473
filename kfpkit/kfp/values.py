"""Values as a task on a cluster gets them.

There a value travels as a protobuf Value that Go writes as JSON. Every number is a double: an
integral one is written without its `.0`, so Python reads it as an integer. The rules are those of
kubeflow/pipelines backend/src/v2: `driver/resolve.go`, `metadata/converter.go`,
`component/launcher_v2.go`.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from kfpkit.core.errors import KitError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Largest integer up to which a double holds every integer.
LARGEST_INTEGER = 2**53

#: From here on Go's JSON writes a number with an exponent, which Python reads as a float.
_EXPONENT_FROM = 1e21

_PLACEHOLDER = re.compile(r"\{\{\$.*?\}\}")

#: Python's int() and float() take more than Go's: 1_000, and digits of other scripts.
_INTEGER = re.compile(r"[+-]?[0-9]+")

#: What the compiler writes for the field of a loop's item.
_FIELD = re.compile(r'parseJson\(string_value\)\["(?P<key>.*)"\]', re.DOTALL)

#: The IR's types that a value of each JSON type may have.
_TYPES: dict[type, tuple[str, ...]] = {
    bool: ("BOOLEAN",),
    int: ("NUMBER_INTEGER", "NUMBER_DOUBLE"),
    float: ("NUMBER_INTEGER", "NUMBER_DOUBLE"),
    str: ("STRING",),
    list: ("LIST",),
    dict: ("STRUCT", "TASK_FINAL_STATUS", "TASK_CONFIG"),
}

#: The JSON types in words.
_WORDS = {bool: "a truth value", int: "a number", float: "a number", str: "a text"} | {
    list: "a list",
    dict: "an object",
    type(None): "nothing",
}


def as_passed(value: Any) -> Any:
    """Return a JSON value as Python reads it on a cluster: 5.0 is 5, also inside; keys sorted."""
    if isinstance(value, dict):
        return {key: as_passed(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [as_passed(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXPONENT_FROM:
        return int(value)
    return value


def as_text(value: Any) -> str:
    """Return the text that a value becomes in an f-string, a command or an input that is a text."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return format(Decimal(repr(as_passed(value))), "f")
    text = _json(value)
    for character in "<>&\u2028\u2029":  # Go's JSON can stand inside HTML
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def placeholder(name: str) -> str:
    """Return what the compiler writes where an input's value goes into a text."""
    return f"{{{{$.inputs.parameters['{name}']}}}}"


def fill(template: Any, texts: Mapping[str, str]) -> Any:
    """Return what the compiler wrote with its placeholders filled in, in texts inside it too.

    What is filled in is not looked at again: data may look like a placeholder.

    Args:
        template: A JSON value; a placeholder is `{{$…}}`.
        texts: By placeholder. One that is not among them stays as it is.
    """
    if isinstance(template, dict):
        return {fill(key, texts): fill(item, texts) for key, item in template.items()}
    if isinstance(template, list):
        return [fill(item, texts) for item in template]
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda match: texts.get(match[0], match[0]), template)
    return template


def select(value: Any, selector: str) -> Any:
    """Return the field of a loop's item that the compiler's selector asks for.

    Raises:
        KitError: There is no such field.
    """
    match = _FIELD.fullmatch(selector)
    if not match:
        raise KitError(f"the selector {selector!r} is not known")
    try:
        return (json.loads(value) if isinstance(value, str) else value)[match["key"]]
    except (ValueError, TypeError, LookupError):
        raise KitError(
            f"the loop's item has no field {match['key']!r}", "Give every item the same fields"
        ) from None


def fit(name: str, kind: str, value: Any) -> Any:
    """Return an input's value as its type has it: a text input takes everything as a text.

    Raises:
        KitError: The value is of another type.
    """
    if kind == "STRING" and value is not None:
        return as_text(value)
    if kind not in _TYPES.get(type(value), ()):
        do = ""
        if isinstance(value, str):
            do = "A loop over a list without a type gives texts: declare it, as in list[int]"
        raise KitError(f"input {name!r} takes {kind}, not {_of(value)}", do)
    return value


def check_output(name: str, kind: str, value: Any) -> Any:
    """Return an output's value as it is passed on.

    Raises:
        KitError: It is not of the output's type, or KFP would change it on the way.
    """
    if kind not in _TYPES.get(type(value), ()):
        raise KitError(f"output {name!r} is declared {kind}, and is {_of(value)}")
    if kind == "NUMBER_INTEGER" and isinstance(value, float) and not value.is_integer():
        raise KitError(f"output {name!r} is declared {kind}, and is {value}")
    if place := unfit(value):
        raise KitError(f"output {name!r}{place}", "Return it as a text")
    return as_passed(value)


def unfit(value: Any, place: str = "") -> str:
    """Return where in a JSON value a number is that KFP cannot hold, and which; else empty."""
    if isinstance(value, dict):
        return next(
            filter(None, (unfit(item, f"{place}.{key}") for key, item in value.items())), ""
        )
    if isinstance(value, list):
        found = (unfit(item, f"{place}[{number}]") for number, item in enumerate(value))
        return next(filter(None, found), "")
    if isinstance(value, float) and as_number_text(value):
        return f"{place} is {as_number_text(value)}, which JSON and KFP cannot hold"
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        return f"{place} is {value}, and KFP holds integers up to 2^53 only"
    return ""


def as_number_text(value: float) -> str:
    """Return `NaN`, `Infinity` or `-Infinity`; empty for every other number."""
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(repr(value), "")


def read_file(name: str, kind: str, text: str) -> Any:
    """Return the value in an output's file.

    Raises:
        KitError: The text is no value of the output's type.
    """
    if kind == "STRING":
        return text
    word = text.strip()
    try:
        match kind:
            case "NUMBER_INTEGER":
                value: Any = int(_INTEGER.fullmatch(word)[0])  # type: ignore[index]
            case "NUMBER_DOUBLE":
                value = float(word if word.isascii() and "_" not in word else "")
            case "BOOLEAN":
                value = _TRUTH[word]
            case _:
                value = json.loads(word)
    except (ValueError, KeyError, TypeError):
        shown = word if len(word) <= 60 else f"{word[:60]}…"
        raise KitError(f"the file of output {name!r} holds {shown!r}, which is no {kind}") from None
    return value


#: The words that Go's strconv.ParseBool takes.
_TRUTH = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "false", "FALSE", "False"), False
)


def _of(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return f"{_WORDS[type(value)]}: {shown if len(shown) <= 60 else f'{shown[:60]}…'}"


def _json(value: Any) -> str:
    """Return JSON as Go writes it: without blanks, the keys sorted, its own form of numbers."""
    if isinstance(value, dict):
        members = (f"{_json(key)}:{_json(value[key])}" for key in sorted(value))
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_json, value))}]"
    if isinstance(value, float) and 1e-6 <= abs(value) < _EXPONENT_FROM:
        return as_text(value)
    return re.sub(r"e([+-])0(\d)$", r"e\1\2", json.dumps(as_passed(value), ensure_ascii=False))
