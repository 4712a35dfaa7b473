"""Values as a cluster's tasks get them; the texts are what Go writes for a protobuf Value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kfpkit.core.errors import KitError
from kfpkit.kfp import values as local_values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.0, "5"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (1e21, "1000000000000000000000"),
        (1.5e300, "15" + "0" * 299),
        (2**53, "9007199254740992"),
        (True, "true"),
        (None, ""),
        ("a\nb", "a\nb"),
        ([5.0, 50, 0.5], "[5,50,0.5]"),
        ([1e-7, 0.00001, 1e21], "[1e-7,0.00001,1e+21]"),
        ({"b": [None, True], "a": "é"}, '{"a":"é","b":[null,true]}'),
        (["<a&b>"], '["\\u003ca\\u0026b\\u003e"]'),
    ],
)
def test_the_text_of_a_value(value: Any, text: str) -> None:
    assert local_values.as_text(value) == text


@pytest.mark.parametrize(
    ("value", "passed"),
    [
        (20.0, "20"),
        (0.5, "0.5"),
        (1e21, "1e+21"),
        ([1.0, {"a": 2.0, "b": "3.0"}], '[1, {"a": 2, "b": "3.0"}]'),
        (True, "true"),
    ],
)
def test_an_integral_number_is_passed_as_an_integer(value: Any, passed: str) -> None:
    assert json.dumps(local_values.as_passed(value)) == passed


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    texts = {"{{$.a}}": "{{$.b}}", "{{$.b}}": "x"}
    assert local_values.fill({"{{$.b}}": ["{{$.a}} {{$.c}}", 1]}, texts) == {
        "x": ["{{$.b}} {{$.c}}", 1]
    }


@pytest.mark.parametrize(
    ("kind", "value", "given"),
    [
        ("STRING", 2.0, "2"),
        ("STRING", [1.0], "[1]"),
        ("NUMBER_DOUBLE", 1, 1),
        ("NUMBER_INTEGER", 2.5, 2.5),  # a cluster lets it pass as well
        ("TASK_FINAL_STATUS", {}, {}),
    ],
)
def test_an_input_is_as_its_type_has_it(kind: str, value: Any, given: Any) -> None:
    assert local_values.fit("x", kind, value) == given


@pytest.mark.parametrize(
    ("kind", "value", "error"),
    [
        ("NUMBER_INTEGER", "2", "input 'x' takes NUMBER_INTEGER, not a text: \"2\". A loop"),
        ("NUMBER_INTEGER", True, "not a truth value: true"),
        ("BOOLEAN", 1, "input 'x' takes BOOLEAN, not a number: 1"),
        ("LIST", {}, "not an object: {}"),
        ("STRING", None, "not nothing: null"),
    ],
)
def test_an_input_of_another_type_is_refused(kind: str, value: Any, error: str) -> None:
    with pytest.raises(KitError) as raised:
        local_values.fit("x", kind, value)
    assert error in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "value", "error"),
    [
        ("NUMBER_INTEGER", 2.5, "is declared NUMBER_INTEGER, and is 2.5"),
        ("NUMBER_INTEGER", True, "is declared NUMBER_INTEGER, and is a truth value: true"),
        ("NUMBER_DOUBLE", float("nan"), "'x' is NaN, which JSON and KFP cannot hold"),
        ("STRUCT", {"a": [0, -(2**60)]}, "'x'.a[1] is -1152921504606846976, and KFP holds"),
        ("STRING", 1, "is declared STRING, and is a number: 1"),
    ],
)
def test_an_output_that_would_change_is_refused(kind: str, value: Any, error: str) -> None:
    with pytest.raises(KitError) as raised:
        local_values.check_output("x", kind, value)
    assert error in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("STRING", " a\n", " a\n"),
        ("NUMBER_INTEGER", " -3\n", -3),
        ("NUMBER_DOUBLE", "1e3", 1000.0),
        ("BOOLEAN", "True\n", True),
        ("LIST", "[1]", [1]),
    ],
)
def test_the_file_of_an_output(kind: str, text: str, value: Any) -> None:
    assert local_values.read_file("x", kind, text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("NUMBER_INTEGER", "3.0"),
        ("NUMBER_INTEGER", "1_000"),
        ("NUMBER_INTEGER", "٣"),
        ("NUMBER_INTEGER", ""),
        ("NUMBER_DOUBLE", "half"),
        ("NUMBER_DOUBLE", "1_000.5"),
        ("NUMBER_DOUBLE", "٣"),
        ("BOOLEAN", "yes"),
        ("STRUCT", "{"),
    ],
)
def test_the_file_of_an_output_that_is_no_value_is_refused(kind: str, text: str) -> None:
    with pytest.raises(KitError, match=f"which is no {kind}"):
        local_values.read_file("x", kind, text)


def test_the_field_of_an_item() -> None:
    selector = 'parseJson(string_value)["a b"]'
    assert local_values.select({"a b": 1}, selector) == 1
    assert local_values.select('{"a b": 1}', selector) == 1
    with pytest.raises(KitError, match="has no field 'a b'"):
        local_values.select({}, selector)
