from __future__ import annotations

from itertools import combinations
from math import inf, nan

import pytest

from kfpkit.runs import shown

#: No two of them may look the same.
DIFFERENT: list[object] = [
    *(1, 1.0, True, "1", "1.0", "true", "True"),
    *(None, "", " ", "null", "None", [], {}, "[]", "{}", [[]]),
    *(nan, inf, -inf, "NaN", "Infinity", "inf"),
    *([1.0, 2], [1, 2], "1, 2", ["a, b"], ["a", "b"], '["a", "b"]', "a, b"),
    *({"a": "1"}, {"a": 1}, {"a": 1.0}, {"a": True}, {"a": None}),
    *(1234567.75, 1234567.25, 1e16, 10**16, 10000000000000002.0, "1,234,567", 1234567),
    *(0.99996, 0.9855072463768116, 0.9855072463768117, 5e-324, 2**53 + 1, float(2**53)),
    *(
        "a b",
        "a  b",
        "a\tb",
        "a\nb",
        "a\\nb",
        "a\u00a0b",
        "a\u200db",
        "a\u202eb",
        '"a"',
        "a",
        "\x1b",
    ),
    *("\\x1b", "\x7f", "\ud800", "e\u0301", "\u0661", "1_000", "1000", 1000),
]


def test_values_that_differ_look_different() -> None:
    for one, other in combinations(DIFFERENT, 2):
        assert shown.value(one) != shown.value(other), f"{one!r} and {other!r}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567.75, "1234567.75"),
        (0.99996, "0.99996"),
        (1e16, "1e+16"),
        (9007199254740993, "9007199254740993"),
        ([1.0, 2], "[1.0, 2]"),
        ({"a": "1"}, '{"a": "1"}'),
        ("penguins", "penguins"),
        ("3.11.7", "3.11.7"),
        ("日本語 שלום", "日本語 שלום"),
        ("\U0001f469\u200d\U0001f467", "\U0001f469\u200d\U0001f467"),
        ("a\n\tb\u202e", '"a\\n\\tb\\u202e"'),
    ],
)
def test_a_value_reads_well(value: object, text: str) -> None:
    assert shown.value(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9855072463768116, "0.9855072463768116"),
        (0.99996, "0.99996"),
        (1234567.75, "1234567.75"),
        (1e-09, "1e-09"),
        (69.0, "69"),
        (1234567, "1,234,567"),
        (9007199254740993, "9,007,199,254,740,993"),
        (10000000000000000.0, "1e+16"),
        (1e308, "1e+308"),
        (nan, "NaN"),
        (inf, "Infinity"),
        (True, "true"),
        ("lbfgs", "lbfgs"),
        ("69", '"69"'),
        ("1,234,567", '"1,234,567"'),
    ],
)
def test_a_metric_reads_well(value: object, text: str) -> None:
    assert shown.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9855072463768116, "0.98550…"),
        (-0.9855072463768116, "-0.98550…"),
        (0.9999999999, "0.99999…"),
        (1.2345678901e-20, "1.23456…e-20"),
        (0.99996, ""),
        (1234567.12345, ""),
        (10**40, ""),
        ("0.98550724637", ""),
        (nan, ""),
    ],
)
def test_the_start_of_a_long_number_is_cut_and_says_so(value: object, text: str) -> None:
    assert shown.start(value) == text


def test_what_a_terminal_would_act_on_is_visible() -> None:
    assert shown.plain("a\x1b[31m\x9b\x00\r\n\tb") == "a\\u001b[31m\\u009b\\u0000\\r\n\tb"
