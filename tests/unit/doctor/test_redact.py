"""No value of a Secret is left in a text or an object, however it got there."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest
import yaml

from kfpkit.doctor.redact import MARK, Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

VALUES = {
    "hex": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c",
    "sharp": 'p@ss/w:rd+"x y"&=%é\\<>',
    "short": "tr0ub4",
    "key": "-----BEGIN RSA PRIVATE KEY-----\n"
    + "\n".join(base64.b64encode(bytes(range(i, i + 48))).decode() for i in range(8))
    + "\n-----END RSA PRIVATE KEY-----\n",
    "account": json.dumps({"client": "someone", "nested": [{"pass": "correct horse battery"}]}),
}
#: What must not be left of a value: it, and parts of it that tell it.
TELLING = {
    **{name: [value.strip()] for name, value in VALUES.items()},
    "key": VALUES["key"].splitlines()[1:-1],
    "account": ["correct horse battery"],
}


def secret(values: dict[str, str], name: str = "planted") -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"kind": "Secret", "metadata": {"name": name}, "data": data}


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor([secret(VALUES)])


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def go(text: str) -> str:
    """Return a text as Go's encoding/json writes it."""
    return re.sub("[<>&]", lambda sign: f"\\u{ord(sign[0]):04x}", json.dumps(text))


WAYS: dict[str, Callable[[str], str]] = {
    "plain": lambda v: v,
    "quoted": lambda v: json.dumps(v),
    "quoted by Go": lambda v: go(v),
    "in JSON in JSON by Go": lambda v: go(go(v)),
    "in JSON in JSON": lambda v: json.dumps(json.dumps({"a": v})),
    "base64": b64,
    "base64 of a line": lambda v: b64(f"{v}\n"),
    "base64 for addresses": lambda v: base64.urlsafe_b64encode(v.encode()).decode(),
    "base64 without padding": lambda v: b64(v).rstrip("="),
    "base64 in lines": lambda v: base64.encodebytes(v.encode()).decode(),
    "base64 of base64": lambda v: b64(b64(v)),
    "URL": lambda v: quote(v, safe=""),
    "URL, path": quote,
    "URL, lower case": lambda v: "".join(
        c if c.isascii() and c.isalnum() else "".join(f"%{b:02x}" for b in c.encode()) for c in v
    ),
    "form": quote_plus,
    "base64 in a URL": lambda v: quote(b64(v), safe=""),
    "URL in base64": lambda v: b64(quote(v, safe="")),
    "Python": repr,
    "hexadecimal": lambda v: v.encode().hex(),
    "YAML": lambda v: yaml.safe_dump({"config": {"deep": v}}, width=10**9),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("way", WAYS)
def test_no_form_of_a_value_is_left(redactor: Redactor, name: str, way: str) -> None:
    form = WAYS[way](VALUES[name])
    for text in (f"before {form} after", f"x={form}&y=1", f'{{"k":"{form}"}}'):
        shown = redactor.text(text)
        assert MARK in shown
        assert not redactor.leaks(shown)
        for part in TELLING[name]:
            assert part not in shown
            assert WAYS[way](part).strip() not in shown


def test_short_fields_and_lines_are_found_as_whole_values_are() -> None:
    login = {"auths": {"r.example": {"account": "root", "password": "Hunter22xyz"}}}
    settings = "# of the server\nDB_PASSWORD=tr0ub4\napi_token: 'abc123def'\nport: 12345678\n"
    redactor = Redactor([secret({"login": json.dumps(login), "settings": settings})])
    for value in ("Hunter22xyz", "tr0ub4", "abc123def"):
        for text in (value, b64(value), *(b64(f"{before}{value}") for before in ("a", "root:"))):
            shown = redactor.text(f"step said {text}")
            assert MARK in shown
            assert value not in shown
            assert not redactor.leaks(shown)
    assert redactor.text("12345678 r.example") == "12345678 r.example"
    # `root` would be found in every other word, so it is named; so is what a short value has.
    assert redactor.too_short == ["planted/login", "planted/settings"]


@pytest.mark.parametrize(
    ("value", "telling"),
    [
        ("DB_PASSWORD=tr0ub4dor\n", "tr0ub4dor"),
        ("# sourced\nexport A_TOKEN=zzYYxx11\n", "zzYYxx11"),
        ("users:\n- password: qqWWee22\n", "qqWWee22"),
        ("users:\n- name: someone\n  client-key-data: aVeryLongKey12345\n", "aVeryLongKey12345"),
        ('server:\n  signature: "anotherLongKey987",\n', "anotherLongKey987"),
        ("mysql://kfp:rrTTyy33@db/x", "rrTTyy33"),
    ],
)
def test_the_secret_part_of_a_settings_file_is_found_alone(value: str, telling: str) -> None:
    assert Redactor([secret({"settings": value})]).text(f"got {telling} here") == f"got {MARK} here"


def test_a_secret_of_words_that_are_everywhere_hides_none_of_them() -> None:
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "users": [{"user": {"token": "ab12cd34ef"}}],
    }
    login = {"auths": {"r.example": {"username": "kubeflow", "password": "Hunter22xyz"}}}
    values = {
        "config": yaml.safe_dump(kubeconfig),
        "config.json": json.dumps(kubeconfig),
        "login": json.dumps(login),
        "client-id": "kubeflow",
        "settings": "imagePullPolicy: IfNotPresent\nmode: one1234\n",
    }
    redactor = Redactor([secret(values)])
    items = {
        "apiVersion": "v1",
        "kind": "Config",
        "metadata": {"namespace": "kubeflow", "note": "ab12cd34ef"},
        "imagePullPolicy": "IfNotPresent",
    }
    shown = yaml.safe_dump(redactor.object(items))
    assert "kind: Config" in shown
    assert "namespace: kubeflow" in shown
    # A value as long as a secret may be is taken for one.
    assert f"imagePullPolicy: {MARK}" in shown
    assert "ab12cd34ef" not in shown
    assert redactor.too_short == ["planted/config", "planted/settings"]
    assert not redactor.leaks(shown)


def test_a_value_of_digits_is_hidden_in_numbers() -> None:
    redactor = Redactor([secret({"pin": "268435456"})])
    shown = redactor.object({"sizeBytes": 268435456, "other": 12, "on": True})
    assert shown == {"sizeBytes": MARK, "other": 12, "on": True}


def test_what_is_no_secret_of_a_token_is_not_looked_for() -> None:
    values = {"namespace": "kubeflow", "ca.crt": "a certificate", "token": "abcdefgh.ijkl"}
    token = {**secret(values), "type": "kubernetes.io/service-account-token"}
    shown = Redactor([token]).text("kubeflow has a certificate and abcdefgh.ijkl")
    assert shown == f"kubeflow has a certificate and {MARK}"


@pytest.mark.parametrize("name", ["hex", "sharp", "key"])
@pytest.mark.parametrize("before", ["", "a", "ab", "user:"])
def test_a_value_inside_a_longer_base64_text_is_found(
    redactor: Redactor, name: str, before: str
) -> None:
    shown = redactor.text(f"Basic {b64(f'{before}{VALUES[name].strip()} and more')}")
    assert MARK in shown
    longest = max((word for word in shown.split()), key=len).replace(MARK, "")
    assert len(longest) < 40


def test_the_value_of_a_long_key_is_gone_also_where_each_line_has_a_time(
    redactor: Redactor,
) -> None:
    text = "\n".join(f"2026-11-24T12:00:00Z {line}" for line in VALUES["key"].splitlines())
    for line in TELLING["key"]:
        assert line not in redactor.text(text)


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
        ('"authorization":["Basic dXNlcjpwYXNz"]', "dXNlcjpwYXNz"),
        (r"{\"Authorization\": \"Token xyz-1\"}", "xyz-1"),
        ("authorization: AWS4-HMAC-SHA256 Credential=A/b, Signature=0123abcd", "0123abcd"),
        ("curl -H 'Authorization: digest uvwxyz'", "uvwxyz"),
        ("dial https://me:hunter2@host/x", "hunter2"),
        ("mysql://kfp:a%2Fb@database:3306", "a%2Fb"),
        ("dsn kfp:hunter2@tcp(database:3306)/mlpipeline", "hunter2"),
        ("DB_PASSWORD=hunter2 DB_USER=kfp", "hunter2"),
        ('{"password": "hunter2"}', "hunter2"),
        (r"{\"apiKey\":\"hunter2\"}", "hunter2"),
        ("secret_key: hunter2", "hunter2"),
        ("--mysql_config_password=hunter2", "hunter2"),
        ("--password hunter2", "hunter2"),
        ("DB_PASS=hunter2", "hunter2"),
        ('{"api_token":{"runtimeValue":{"constant":"hunter2"}}}', "hunter2"),
        (r"{\"api_token\": {\"stringValue\": \"hunter2\"}}", "hunter2"),
        ('{"api_token":{"defaultValue":"hunter2","parameterType":"STRING"}}', "hunter2"),
        ('"api_token": {\n2026-11-24T12:00:00.1Z   "constant": "hunter2"\n}', "hunter2"),
        (r"{\\\"api_token\\\": \\\"hunter2\\\"}", "hunter2"),
        (r"{\\\"Authorization\\\": \\\"Token xyz-1\\\"}", "xyz-1"),
        ('{"name":"API_TOKEN","value":"hunter2"}', "hunter2"),
        (r"[{\"name\": \"API_TOKEN\", \"value\": \"hunter2\"}]", "hunter2"),
        ('["--api-token","hunter2"]', "hunter2"),
        ('{"password": "correct horse battery"}', "horse battery"),
        ('password: "ab)cdef99"', "cdef99"),
        ('msg="no token:" password="hunter2"', "hunter2"),
        ("cmd='--token=' --password='hunter2'", "hunter2"),
        ('curl -H "X-Api-Key: " -d password="hunter2"', "hunter2"),
        (r'password="abc\\" token="hunter2"', "hunter2"),
        (r'password="abc\"hunter2"', "hunter2"),
        (r"{\"password\": \"abc\\\"hunter2\"}", "hunter2"),
        ('{"api_token":{"runtimeValue":{"constant":"hun\'ter2"}}}', "ter2"),
        ("DB_PASSWORD=$ecret123", "ecret123"),
        ("dial https://me:p@ss99word@host/x", "ss99word"),
        ("git+https://ghp_abcdefghijklmnop1234@github.com/o/r", "ghp_abcdefghijklmnop1234"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0abc.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----", "MHcCAQEE"),
        (r"-----BEGIN PRIVATE KEY-----\nMHcCAQEE\n-----END PRIVATE KEY-----", "MHcCAQEE"),
        ("-----BEGIN PRIVATE KEY-----\nMHcCAQEE cut off", "MHcCAQEE"),
        ("GET /b/k?X-Amz-Signature=0a1b2c&X-Amz-Date=1", "0a1b2c"),
        ("using AKIAIOSFODNN7EXAMPLE now", "AKIAIOSFODNN7EXAMPLE"),
    ],
)
def test_what_looks_like_a_secret_goes_without_being_known(text: str, gone: str) -> None:
    shown = Redactor([]).text(text)
    assert gone not in shown
    assert MARK in shown


@pytest.mark.parametrize(
    "text",
    [
        "secretName: mlpipeline-minio-artifact",
        'secret "missing" not found',
        "automountServiceAccountToken: true",
        "--mysql_config_password=$(DB_PASSWORD)",
        "accessKeyKey: accesskey",
        'image "kfpkit/python-runtime:0123456789ab" not found',
        "http://minio-service:9000/mlpipeline/v2/artifacts",
        '{"secret": {"secretName": "x"}}',
        "expirationSeconds: 3600",
        "bypass: tests, compass: north",
        '["--use-token", "--name", "it"]',
        '{"name":"API_TOKEN","value":"$(OTHER)"}',
        '{"secret": "", "name": "kept"}',
        '{"msg":"empty token:","user":"bob"}',
        '{"epochs":{"runtimeValue":{"constant":"three"}}}',
    ],
)
def test_what_helps_and_is_no_secret_stays(text: str) -> None:
    assert Redactor([]).text(text) == text


#: Characters for which a time that grows with their square is for ever.
MANY = 100_000


@pytest.mark.parametrize(
    "word",
    [
        *(
            "a.",
            "-",
            "--a",
            "a-",
            "x://a:b",
            "://",
            "eyJaaaaaaaa-",
            "a:a.",
            "password=",
            "password",
        ),
        *("-----BEGIN PRIVATE KEY", '"token', "name:", "\\", "Bearer ", "authorization"),
    ],
)
def test_a_long_word_takes_no_longer_than_many_short_ones(word: str) -> None:
    text = word * (MANY // len(word))
    shown = Redactor([]).text(text)
    assert shown == text or MARK in shown


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("x--db-password hunter2", "hunter2"),
        ("--a--b --token hunter2", "hunter2"),
        ("a.b.password=hunter2", "hunter2"),
        ("-----x --db_password hunter2", "hunter2"),
        ("x://a:b://c:hunter2@host", "hunter2"),
        ("see x://a:b and y://me:hunter2@host", "hunter2"),
        ("kfp.me:hunter2@tcp(database:3306)", "hunter2"),
        ("eyJaaaaaaaa-eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0abc.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
        (
            "-----BEGIN PRIVATE KEY-----\nMHcCAQEE\n-----BEGIN PRIVATE KEY-----\nx"
            "\n-----END PRIVATE KEY-----",
            "MHcCAQEE",
        ),
        ("--no-password --token=hunter2", "hunter2"),
        ("--name password=hunter2", "hunter2"),
    ],
)
def test_a_secret_within_a_long_word_goes(text: str, gone: str) -> None:
    shown = Redactor([]).text(text)
    assert gone not in shown
    assert MARK in shown


def test_an_object_keeps_its_shape_and_loses_its_secrets(redactor: Redactor) -> None:
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "managedFields": [{"x": 1}],
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "long",
                "note": f"see {b64(VALUES['hex'])}",
            },
        },
        "spec": {
            "containers": [
                {
                    "args": ["--url", f"https://u:{quote(VALUES['sharp'], safe='')}@h"],
                    "command": ["run", "--api-token", "literal", "--use-token", "--name", "it"],
                    "inputs": {
                        "api_token": {"runtimeValue": {"constant": "literal"}},
                        "secret": {"secretName": "kept"},
                        "credentials": {
                            "runtimeValue": {"constant": {"id": "A1", "keys": ["hunter2"]}},
                            "description": f"not {VALUES['hex']}, but mine",
                        },
                    },
                    "env": [
                        {"name": "API_TOKEN", "value": "literal"},
                        {"name": "REFERENCE_PASSWORD", "value": "$(OTHER)"},
                        {"name": "PLAIN", "value": VALUES["short"]},
                        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                    ],
                }
            ]
        },
    }
    shown = redactor.object(pod)
    assert shown["metadata"] == {"name": "p", "annotations": {"note": f"see {MARK}"}}
    (container,) = shown["spec"]["containers"]
    assert [v.get("value") for v in container["env"]] == [MARK, "$(OTHER)", MARK, None]
    assert container["command"] == ["run", "--api-token", MARK, "--use-token", "--name", "it"]
    assert container["inputs"] == {
        "api_token": {"runtimeValue": {"constant": MARK}},
        "secret": {"secretName": "kept"},
        "credentials": {
            "runtimeValue": {"constant": {"id": MARK, "keys": [MARK]}},
            "description": f"not {MARK}, but mine",
        },
    }
    assert container["env"][3]["valueFrom"]["secretKeyRef"] == {"name": "s", "key": "k"}
    assert not redactor.leaks(json.dumps(shown))


def test_json_in_a_string_is_looked_at_as_an_object(redactor: Redactor) -> None:
    # As KFP keeps a component in a Workflow's arguments, and Argo a template in a pod.
    component = {"args": ["--api-token", "literal9"], "env": [{"name": "PWD", "value": "hunter2"}]}
    template = json.dumps({"inputs": {"parameters": [{"value": json.dumps(component)}]}})
    shown = redactor.object({"name": "ARGO_TEMPLATE", "value": template})["value"]
    inner = json.loads(json.loads(shown)["inputs"]["parameters"][0]["value"])
    assert inner == {"args": ["--api-token", MARK], "env": [{"name": "PWD", "value": MARK}]}
    assert redactor.object({"value": "{no JSON"}) == {"value": "{no JSON"}
    others: list[Any] = [5, [{}], "hunter2"]
    for data in others:
        text = json.dumps({"kind": "Secret", "data": data})
        assert json.loads(redactor.object(text)) == {"kind": "Secret", "data": MARK}


def test_a_secret_keeps_its_keys_alone() -> None:
    shown = Redactor([]).object({**secret({"a": "x", "b": "yz"}), "stringData": {"c": "z"}})
    assert shown["data"] == {"a": MARK, "b": MARK}
    assert shown["stringData"] == {"c": MARK}


def test_a_value_too_short_to_be_looked_for_is_named() -> None:
    redactor = Redactor([secret({"pin": "root", "long": "long enough"})])
    assert redactor.too_short == ["planted/pin"]
    assert redactor.text("system:root of root-driver") == "system:root of root-driver"


def test_bytes_that_are_no_text_are_found_as_base64() -> None:
    raw = base64.b64encode(bytes(range(128, 160))).decode()
    binary = {"kind": "Secret", "metadata": {"name": "b"}, "data": {"k": raw}}
    assert Redactor([binary]).text(f"got {raw}") == f"got {MARK}"
