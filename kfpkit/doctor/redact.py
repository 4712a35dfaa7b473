"""Taking secrets out of text and of Kubernetes objects, so that they can be shown to others.

Two nets, one behind the other: the values of the Secrets that are known, in every form they may
have taken on the way into a log, and what looks like a secret by its shape or the name beside it.
"""

from __future__ import annotations

import base64
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: What stands where a secret was.
MARK = "REDACTED"

#: Characters from which on a value is looked for outside its Secret: shorter ones are found in
#: every other word.
SHORTEST = 6

#: The same for a single line of a value, and for a value at another place inside a base64 text.
SHORTEST_PART = 12

_NAME = (
    r"(?:password|passwd|passphrase|pwd|secret|token|credentials?|api[_-]?key"
    r"|access[_-]?key(?:[_-]?id)?|secret[_-]?key|private[_-]?key|(?-i:[A-Z0-9]_KEY))"
)

_KEY = re.compile(rf"(?i){_NAME}$")

#: Values that are no secret although their name sounds so.
_PLAIN = re.compile(r"(?i)(true|false|null|none|\d{1,5}|\$[({]?\w+[)}]?)?")

_PATTERNS = [
    re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]{0,16384}?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    ),
    # Up to the end of the line or of the quoted string.
    re.compile(
        r"""(?i)(?P<keep>\b(?:proxy-)?authorization\\?["']?\s*[:=]\s*\[?\\?["']?)[^"'\r\n\\]+"""
    ),
    re.compile(r"(?i)(?P<keep>\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}"),
    # A JSON Web Token, as Kubernetes gives to pods.
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    # scheme://user:password@host, and the form of Go's MySQL driver.
    re.compile(r"(?P<keep>\b[A-Za-z][\w+.-]*://[^/\s:@\"']*:)[^@\s\"']+(?=@)"),
    re.compile(r"(?P<keep>\b[\w.-]+:)[^@\s\"':]+(?=@(?:tcp|unix)\()"),
    # Signed addresses.
    re.compile(
        r"(?i)(?P<keep>[?&]X-(?:Amz|Goog)-(?:Signature|Security-Token|Credential)=)[^&\s\"']+"
    ),
    # Keys of Amazon and Google by their form.
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bGOOG1?[0-9A-Z]{20,60}\b|\bAIza[\w-]{35}\b"),
]

#: `name=value`, `name: value`, `"name": "value"`, `--name value`.
_NAMED = re.compile(
    rf"""(?i)(?P<keep>\b[\w.-]*{_NAME}\\?["']?[ \t]*[:=][ \t]*|--[\w-]*{_NAME}[ \t]+)"""
    r"""(?P<quote>\\?["']?)(?P<value>(?![{\[])[^\s"'\\,;&)}\]]+)"""
)


class Redactor:
    """Takes the values of known Secrets, and what looks like one, out of texts and objects.

    Args:
        secrets: Secrets as Kubernetes gives them.
    """

    def __init__(self, secrets: Iterable[dict[str, Any]]) -> None:
        forms: set[str] = set()
        #: `SECRET/KEY` of each value too short to be looked for outside its Secret.
        self.too_short: list[str] = []
        for secret in secrets:
            for key, encoded in (secret.get("data") or {}).items():
                raw = base64.b64decode(encoded)
                text = raw.decode(errors="replace").strip()
                if len(text) < SHORTEST:
                    self.too_short.append(f"{secret['metadata']['name']}/{key}")
                    continue
                forms |= {text, encoded, *_parts(text), *_fragments(text)}
                # With the line's end that a file has, too.
                for value in {text, raw.decode(errors="replace")}:
                    for once in _encoded(value):
                        forms |= {once, *_encoded(once)}
        # The longest first: a part of a value must not hide the whole.
        self._forms = sorted(forms, key=lambda form: (-len(form), form))

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MARK)
        for pattern in _PATTERNS:
            keep = r"\g<keep>" if "keep" in pattern.groupindex else ""
            text = pattern.sub(keep + MARK, text)
        return _NAMED.sub(_named, text)

    def object(self, value: Any) -> Any:
        """Return a Kubernetes object, or a part of one, without secrets and without ballast."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.object(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("kind") == "Secret":
            value = {
                key: dict.fromkeys(part or {}, MARK) if key in ("data", "stringData") else part
                for key, part in value.items()
            }
        if "name" in value and isinstance(value.get("value"), str) and _secret(value["name"]):
            # A variable of a container, a parameter of a run.
            value = {**value, "value": _hide(value["value"])}
        found = {}
        for key, part in value.items():
            if key == "managedFields" or key == "kubectl.kubernetes.io/last-applied-configuration":
                continue
            hide = isinstance(part, str) and _secret(key)
            found[self.text(key)] = _hide(part) if hide else self.object(part)
        return found

    def leaks(self, text: str) -> bool:
        """Whether a known value is still in a text."""
        return any(form in text for form in self._forms)


def _secret(name: Any) -> bool:
    return bool(_KEY.search(str(name)))


def _hide(value: str) -> str:
    return value if _PLAIN.fullmatch(value.strip()) else MARK


def _named(match: re.Match[str]) -> str:
    if _PLAIN.fullmatch(match["value"]) or match["value"].startswith(MARK):
        return match[0]
    return f"{match['keep']}{match['quote']}{MARK}"


def _parts(text: str) -> Iterator[str]:
    """Yield a value's lines, and the values inside it where it is JSON."""
    found = text.splitlines() if "\n" in text else []
    with suppress(ValueError):
        found += _leaves(json.loads(text))
    for line in found:
        if len(part := line.strip()) >= SHORTEST_PART:
            yield part
            yield from _encoded(part)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield from value.splitlines()
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)


def _encoded(value: str) -> Iterator[str]:
    """Yield a value in the encodings that end up in logs and configuration."""
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield yaml.safe_dump(value, default_style='"', width=10**9).strip()[1:-1]
    yield value.replace("'", "''")
    yield repr(value)[1:-1]
    for percent in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield percent
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), percent)
    yield value.encode().hex()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(value.encode()).decode()
        yield whole
        yield whole.rstrip("=")


def _fragments(value: str) -> Iterator[str]:
    """Yield what is left of a value's base64 inside a longer one, or broken into lines."""
    raw = value.encode()
    if len(raw) < SHORTEST_PART:
        return
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # As in `user:password`. The signs at both ends also hold bits of the neighbours.
            signs = encode(b"\0" * before + raw).decode().rstrip("=")
            yield signs[before + 1 if before else 0 : -1]
        whole = encode(raw).decode()
        for width in (64, 76):
            lines = [whole[at : at + width] for at in range(0, len(whole), width)]
            yield from (line for line in lines if len(line) >= SHORTEST_PART)
