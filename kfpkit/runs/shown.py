"""Values and names as a person reads them: nothing is rounded, and two values never look the same.

Numbers have the shortest text that stands for no other number; lists and objects are JSON. A text
stands without quotes where it cannot be taken for anything else.
"""

from __future__ import annotations

import json
import re
from typing import Any

from kfpkit.kfp.values import LARGEST_INTEGER

#: A number of at most this many characters is shown whole even where room is scarce.
ROOM = 9

#: What a terminal or a browser would act on or lose; line breaks and tabs are left.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

#: Joiners shape letters and emoji; beside ASCII they only hide.
_JOINER = re.compile("(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])")


def plain(text: str) -> str:
    """Return a text with its control characters visible, escaped as in JSON."""
    return _CONTROL.sub(lambda match: _escape(match[0]), text)


def value(of: Any) -> str:
    """Return the text of a value: `1`, `1.0`, `true`, `null`, `["a", "b"]`, `lbfgs`, `"1"`.

    Characters that cannot be seen, line breaks among them, are escaped as in JSON.
    """
    if isinstance(of, str) and not _ambiguous(of):
        return str(of)
    text = json.dumps(of, ensure_ascii=False, default=str)
    kept = {match.start() for match in _JOINER.finditer(text)}
    return "".join(
        char if char.isprintable() or place in kept else _escape(char)
        for place, char in enumerate(text)
    )


def number(of: Any) -> str:
    """Return the text of a metric, which KFP knows as float alone: `69` for 69.0, and `1,234,567`.

    What is no number is shown as `value` does.
    """
    if isinstance(of, float) and of.is_integer() and abs(of) < LARGEST_INTEGER:
        of = int(of)
    return f"{of:,}" if isinstance(of, int) and not isinstance(of, bool) else value(of)


def start(of: Any) -> str:
    """Return the first digits of a number whose text is long; empty where it is shown whole.

    Digits are cut and not rounded: 0.9999999999 starts with 0.99999, and not with 1.
    """
    text = number(of)
    if not isinstance(of, float) or len(text) <= ROOM or not text[-1].isdigit():
        return ""
    digits, _, exponent = text.partition("e")
    cut = digits[: 7 + text.startswith("-")]
    if "." not in cut:
        return ""
    return f"{cut}…" + (f"e{exponent}" if exponent else "")


def _ambiguous(text: str) -> bool:
    """Return whether a text without quotes could be another value, or hides a character."""
    if text != text.strip() or text.lower() in ("", "true", "false", "null", "none"):
        return True
    kept = _JOINER.sub("", text)
    return text[0] in '"[{' or not kept.isprintable() or _is_number(text.replace(",", ""))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _escape(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) != 0x7F else "\\u007f"
