"""The conditions of `dsl.If`, `dsl.Elif` and `dsl.Else`, as a cluster evaluates them.

There they are CEL, of which kfp's compiler writes a small part: comparisons of inputs and
constants, `int()` and `double()`, and their combination with `!`, `&&`, `||`. A value is never part
of the text: it cannot change what is asked, and nothing in it is executed.
"""

from __future__ import annotations

import operator
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kfpkit.core.errors import KitError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOKEN = re.compile(
    r"""\s*(?:
    inputs\.parameter_values\['(?P<input>[^']+)'\]
    |'(?P<text>(?:[^'\\\n]|\\['"\\nrt])*)'
    |(?P<number>-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?))
    |(?P<word>true|false|int|double)\b
    |(?P<sign>==|!=|<=|>=|<|>|&&|\|\||!|\(|\))
    )""",
    re.VERBOSE,
)

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def holds(condition: str, values: Mapping[str, Any]) -> bool:
    """Return whether a condition holds.

    Args:
        condition: As the compiler wrote it.
        values: The inputs by name.

    Raises:
        KitError: It cannot be evaluated: an input has no value, the types do not compare, or the
            condition is none. A cluster's driver fails then too.
    """
    return _truth(_Reader(condition, values).read())


class _Reader:
    """A parser by descent that evaluates as it reads.

    What cannot be evaluated is an error in the place of a value: as in CEL, it does not count where
    the other side of `&&` or `||` decides.
    """

    def __init__(self, condition: str, values: Mapping[str, Any]) -> None:
        self._condition = condition
        self._values = values
        self._tokens = self._split()

    def read(self) -> Any:
        value = self._any()
        if self._tokens:
            raise self._unknown()
        return value

    def _split(self) -> list[re.Match[str]]:
        tokens = []
        text = self._condition.rstrip()
        end = 0
        while end < len(text):
            match = _TOKEN.match(text, end)
            if not match:
                raise self._unknown()
            tokens.append(match)
            end = match.end()
        return tokens

    def _unknown(self) -> KitError:
        return KitError(
            f"the condition {self._condition} cannot be read",
            "A text that is compared must have no quote, backslash or line break in it",
        )

    def _taken(self, *signs: str) -> str:
        """Return the next sign and step over it, if it is one of those; else empty."""
        if self._tokens and self._tokens[0]["sign"] in signs:
            return str(self._tokens.pop(0)["sign"])
        return ""

    def _any(self) -> Any:
        value = self._all()
        while self._taken("||"):
            value = _both(value, self._all(), decides=True)
        return value

    def _all(self) -> Any:
        value = self._comparison()
        while self._taken("&&"):
            value = _both(value, self._comparison(), decides=False)
        return value

    def _comparison(self) -> Any:
        value = self._single()
        while sign := self._taken(*_COMPARE):
            value = _compare(sign, value, self._single())
        return value

    def _single(self) -> Any:
        if self._taken("!"):
            value = self._single()
            return value if isinstance(value, KitError) else not _truth(value)
        if self._taken("("):
            return self._closed()
        if not self._tokens or self._tokens[0]["sign"]:
            raise self._unknown()
        token = self._tokens.pop(0)
        if token["text"] is not None:
            return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), token["text"])
        if token["number"]:
            return float(token["number"])
        if token["input"]:
            if self._values.get(token["input"]) is None:
                return KitError(f"the condition asks for {token['input']!r}, which has no value")
            return self._values[token["input"]]
        if token["word"] in ("true", "false"):
            return token["word"] == "true"
        if not self._taken("("):
            raise self._unknown()
        return _number(token["word"], self._closed())

    def _closed(self) -> Any:
        value = self._any()
        if not self._taken(")"):
            raise self._unknown()
        return value


def _both(left: Any, right: Any, *, decides: bool) -> Any:
    """Return `left || right` where true decides, and `left && right` where false does."""
    if left is decides or right is decides:
        return decides
    errors = [side for side in (left, right) if isinstance(side, KitError)]
    return errors[0] if errors else _truth(left) and _truth(right)


def _truth(value: Any) -> bool:
    if isinstance(value, KitError):
        raise value
    if not isinstance(value, bool):
        raise KitError(f"the condition asks for a truth value, and got {value!r}")
    return value


def _number(function: str, value: Any) -> Any:
    """Return CEL's `int` or `double` of a value; an error where it is no number."""
    if isinstance(value, KitError):
        return value
    if not isinstance(value, bool | list | dict):
        with suppress(ValueError, OverflowError):
            return float(value) if function == "double" else int(value)
    return KitError(f"the condition takes {function}() of {value!r}, which is no number")


def _compare(sign: str, left: Any, right: Any) -> Any:
    def kind(value: Any) -> type:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return float if number else type(value)

    for side in (left, right):
        if isinstance(side, KitError):
            return side
    if kind(left) is not kind(right) or (sign not in ("==", "!=") and kind(left) in (list, dict)):
        if sign in ("==", "!="):
            return sign == "!="
        return KitError(f"the condition compares {left!r} with {right!r}, which have no order")
    return _COMPARE[sign](left, right)
