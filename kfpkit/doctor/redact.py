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

#: The same for a single line of a value.
SHORTEST_LINE = 12

#: Characters up to which what was made of a text is kept.
SHORT = 1000

_NAME = (
    r"(?:password|passwd|passphrase|pwd|secret|token|credentials?|api[_-]?key"
    r"|access[_-]?key(?:[_-]?id)?|secret[_-]?key|private[_-]?key|(?-i:[A-Z0-9]_KEY)"
    r"|(?<![a-z])pass)"
)

_KEY = re.compile(rf"(?i){_NAME}$")
_FLAG = re.compile(rf"(?i)--?[\w-]*{_NAME}")
#: `name: value` and `name=value`, of which a value may consist.
_LINE = re.compile(
    r"""(?:export\s+|- )?["']?(?P<name>[\w.-]+)["']?\s*[:=]\s*["']?(?P<value>[^"']+)["']?,?"""
)

#: What stands before the value in a line of YAML.
_FIELD = re.compile(r"""^(?:- )*(?:["']?[\w./-]+["']?:(?: |$))?["']?""")

#: The password of an address.
_ADDRESS = re.compile(r"://[^/\s:@]*:(\S+)@")

#: How KFP wraps a constant that a task is given.
_WRAPPED = ("runtimeValue", "constant", "constantValue", "stringValue", "defaultValue")

#: Keys and fields of Secrets that are no secret: to look for them would hide the names of things.
_OPEN = (
    *("apiVersion", "kind", "type", "username", "user", "email"),
    *("client_id", "client-id", "client_email", "project_id"),
    *("auth_uri", "token_uri", "universe_domain"),
)

#: Of a service account's token, what is no secret.
_PUBLIC = {"kubernetes.io/service-account-token": ("namespace", "ca.crt")}

#: Values that are no secret although their name sounds so.
_PLAIN = re.compile(r"(?i)(true|false|null|none|\d{1,5}|\$[({]\w+[)}]?)?")

#: Between two words of JSON; `kubectl logs --timestamps` begins each line with a time.
_GAP = r"(?:\s|\b\d{4}-\d\d-\d\dT[\d:.]+Z )*"

#: A string in quotes, but the second of them. Where the first was the end of another string, what
#: comes after it begins none. Two backslashes before a plain quote are one, and escape nothing.
_QUOTED = (
    r"""(?P<quote>(?P<deep>\\+)?["'])(?P<quoted>(?![\s,;&)}\]]).*?)"""
    r"""(?=(?<!\\)(?(deep)(?P=quote)|(?:\\\\)*(?P=quote)))"""
)

#: Every pattern takes a time in proportion to the text: where one cannot match what it began to
#: read, it takes that with the empty group `none`, so that nothing is read again from there on.
_PATTERNS = [
    # A key that was cut off ends where the text does, or the next key begins.
    re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----BEGIN )[\s\S]){0,16384}?"
        r"(?:-----END [A-Z ]*PRIVATE KEY-----|(?=-----BEGIN )|\Z)"
    ),
    # Up to the end of the line or of the quoted string.
    re.compile(
        r"""(?i)(?P<keep>\b(?:proxy-)?authorization\\*["']?\s*[:=]\s*\[?\\*["']?)[^"'\r\n\\]+"""
    ),
    re.compile(r"(?i)(?P<keep>\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}"),
    # A JSON Web Token, as Kubernetes gives to pods.
    re.compile(
        r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*|(?P<none>))",
    ),
    # scheme://user:password@host, and the form of Go's MySQL driver.
    re.compile(r"(?P<keep>://[^/\s:@\"']*:)[^@\s\"']+(?:(?=@)|(?P<none>))"),
    re.compile(r"(?P<keep>://[^/\s:@\"']*:)[^/\s\"']+(?=@)"),
    # scheme://token@host.
    re.compile(r"(?P<keep>https?://)[^/\s:@\"']{16,}(?=@)"),
    re.compile(r"(?P<keep>[\w.-]:)[^@\s\"':]+(?=@(?:tcp|unix)\()"),
    # Signed addresses.
    re.compile(
        r"(?i)(?P<keep>[?&]X-(?:Amz|Goog)-(?:Signature|Security-Token|Credential)=)[^&\s\"']+"
    ),
    # Keys of Amazon and Google by their form.
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bGOOG1?[0-9A-Z]{20,60}\b|\bAIza[\w-]{35}\b"),
]

#: A value in quotes, or up to what may stand behind one.
_VALUE = rf"""(?:{_QUOTED}|(?P<open>\\*["']?)(?P<bare>(?![{{\[])[^\s"'\\,;&)}}\]]+))"""

#: Where a name says that what follows is a secret.
_NAMED = [
    # `name=value`, `name: value`, `"name": "value"`.
    re.compile(rf"""(?i)(?P<keep>{_NAME}\\*["']?[ \t]*[:=][ \t]*){_VALUE}"""),
    # `--name value`, `"--name", "value"`.
    re.compile(
        rf"""(?i)(?P<keep>--(?:[\w-]*{_NAME}(?:[ \t]+|\\*["'],{_GAP}(?=\\*["'](?!-)))"""
        rf"""|[\w-]*(?P<none>)))(?(none)|{_VALUE})"""
    ),
    # `"name": {"constant": "value"}`.
    re.compile(
        rf"""(?i)(?P<keep>{_NAME}\\*["']\s*:\s*"""
        rf"""(?:\{{{_GAP}\\*["'](?:{"|".join(_WRAPPED)})\\*["']\s*:\s*)+){_QUOTED}"""
    ),
    # `"name": "name", "value": "value"`.
    re.compile(
        rf"""(?i)(?P<keep>name\\*["']\s*:\s*\\*["'][\w.-]*{_NAME}\\*["'],{_GAP}"""
        rf"""\\*["']value\\*["']\s*:\s*){_QUOTED}"""
    ),
]


class Redactor:
    """Takes the values of known Secrets, and what looks like one, out of texts and objects.

    Args:
        secrets: Secrets as Kubernetes gives them.
    """

    def __init__(self, secrets: Iterable[dict[str, Any]]) -> None:
        forms: set[str] = set()
        #: `SECRET/KEY` of each value too short, or with a field too short, to be looked for
        #: outside its Secret.
        self.too_short: list[str] = []
        for secret in secrets:
            public = _PUBLIC.get(secret.get("type", ""), ())
            for key, encoded in (secret.get("data") or {}).items():
                if key in public or key in _OPEN:
                    continue
                raw = base64.b64decode(encoded)
                text = raw.decode(errors="replace").strip()
                parts = [text, *_parts(text)]
                if any(len(part) < SHORTEST for part in parts):
                    self.too_short.append(f"{secret['metadata']['name']}/{key}")
                if len(text) < SHORTEST:
                    continue
                forms.add(encoded)
                for part in parts:
                    if len(part) >= SHORTEST:
                        forms |= {part, *_encoded(part), *_fragments(part)}
                # With the line's end that a file has, too.
                for value in {text, raw.decode(errors="replace")}:
                    for once in _encoded(value):
                        forms |= {once, *_encoded(once)}
        #: What was made of short texts: those of Workflows are there many times.
        self._seen: dict[str, str] = {}
        # The longest first: a part of a value must not hide the whole.
        self._forms = sorted(forms, key=lambda form: (-len(form), form))

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if len(text) > SHORT:
            return self._text(text)
        if text not in self._seen:
            self._seen[text] = self._text(text)
        return self._seen[text]

    def _text(self, text: str) -> str:
        text = self._known(text)
        for pattern in _PATTERNS:
            text = pattern.sub(_shaped, text)
        for pattern in _NAMED:
            text = pattern.sub(_named, text)
        return text

    def _known(self, text: str) -> str:
        """Return a text without the values of Secrets."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MARK)
        return text

    def object(self, value: Any) -> Any:
        """Return a Kubernetes object, or a part of one, without secrets and without ballast."""
        if isinstance(value, str):
            if value[:1] in ("{", "["):  # KFP and Argo keep JSON in strings, at any depth.
                with suppress(ValueError, RecursionError):
                    inner = self.object(json.loads(value))
                    value = json.dumps(inner, ensure_ascii=False, separators=(",", ":"))
            return self.text(value)
        if isinstance(value, int | float) and self._known(str(value)) != str(value):
            return MARK
        if isinstance(value, list):
            return [
                _hide(item) if _follows(flag, item) else self.object(item)
                for flag, item in zip([None, *value], value, strict=False)
            ]
        if not isinstance(value, dict):
            return value
        if value.get("kind") == "Secret":
            value = {
                key: _keys(part) if key in ("data", "stringData") else part
                for key, part in value.items()
            }
        if "name" in value and isinstance(value.get("value"), str) and _secret(value["name"]):
            # A variable of a container, a parameter of a run.
            value = {**value, "value": _hide(value["value"])}
        found = {}
        for key, part in value.items():
            if key == "managedFields" or key == "kubectl.kubernetes.io/last-applied-configuration":
                continue
            hide = _secret(key) and _is_value(part)
            if hide and isinstance(part, dict):
                # Beside the value there may be a description.
                found[self.text(key)] = {
                    name: _hide(value) if name in _WRAPPED else self.object(value)
                    for name, value in part.items()
                }
            else:
                found[self.text(key)] = _hide(part) if hide else self.object(part)
        return found

    def leaks(self, text: str) -> bool:
        """Whether a known value is still in a text."""
        return any(form in text for form in self._forms)


def _secret(name: Any) -> bool:
    return bool(_KEY.search(str(name)))


def _follows(flag: Any, item: Any) -> bool:
    """Whether an argument is the value of the flag before it, which names a secret."""
    if not isinstance(flag, str) or not isinstance(item, str):
        return False
    return bool(_FLAG.fullmatch(flag)) and not item.startswith("-")


def _is_value(part: Any) -> bool:
    return isinstance(part, str) or (isinstance(part, dict) and bool(part.keys() & set(_WRAPPED)))


def _hide(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hide(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_hide(part) for part in value]
    return value if _PLAIN.fullmatch(str(value).strip()) else MARK


def _keys(data: Any) -> Any:
    """Return what a Secret's data are without their values."""
    return dict.fromkeys(data or {}, MARK) if isinstance(data, dict | None) else MARK


def _shaped(match: re.Match[str]) -> str:
    found = match.groupdict()
    return match[0] if found.get("none") is not None else f"{found.get('keep', '')}{MARK}"


def _named(match: re.Match[str]) -> str:
    found = match.groupdict()
    if found.get("none") is not None:
        return match[0]
    quote = found["quote"] or found.get("open") or ""
    value = found["quoted"] or found.get("bare") or ""
    if _PLAIN.fullmatch(value) or value.startswith(MARK):
        return match[0]
    return f"{match['keep']}{quote}{MARK}"


def _parts(text: str) -> Iterator[str]:
    """Yield what a value consists of: fields of JSON, lines, what a line gives to a secret name."""
    with suppress(ValueError):
        yield from filter(None, _leaves(json.loads(text)))
    yield from _ADDRESS.findall(text)
    for line in map(str.strip, text.splitlines()):
        named = _LINE.fullmatch(line)
        if named and _secret(named["name"]) and not _PLAIN.fullmatch(named["value"]):
            yield named["value"]
        # `kind: Config`, which a kubeconfig has, is in other objects too: the value alone counts.
        part = _FIELD.sub("", line).rstrip("\"',")
        if part and "\n" in text and len(line) >= SHORTEST_LINE:
            # Nothing, where it is too short: that names the Secret.
            yield part if len(part) >= SHORTEST_LINE else ""


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value.strip()
        yield from (line for line in value.splitlines() if len(line) >= SHORTEST_LINE)
    elif isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if key not in _OPEN or isinstance(item, dict | list):
                yield from _leaves(item)


def _encoded(value: str) -> Iterator[str]:
    """Yield a value in the encodings that end up in logs and configuration."""
    for pure in (True, False):
        once = json.dumps(value, ensure_ascii=pure)[1:-1]
        yield once
        # As Go writes it, and with it Kubernetes and Argo.
        yield re.sub("[<>&]", lambda sign: f"\\u{ord(sign[0]):04x}", once)
    yield yaml.safe_dump(value, default_style='"', width=10**9).strip()[1:-1]
    yield value.replace("'", "''")
    yield repr(value)[1:-1]
    for percent in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield percent
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), percent)
    yield value.encode().hex()
    yield value.encode().hex().upper()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(value.encode()).decode()
        yield whole
        yield whole.rstrip("=")


def _fragments(value: str) -> Iterator[str]:
    """Yield what is left of a value's base64 inside a longer one, or broken into lines."""
    raw = value.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # As in `user:password`. The signs at both ends also hold bits of the neighbours.
            signs = encode(b"\0" * before + raw).decode().rstrip("=")
            yield signs[before + 1 if before else 0 : -1]
        whole = encode(raw).decode()
        for width in (64, 76):
            lines = [whole[at : at + width] for at in range(0, len(whole), width)]
            yield from (line for line in lines if len(line) >= SHORTEST_LINE)
