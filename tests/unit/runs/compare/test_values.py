"""When two values agree."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from kfpkit.runs.compare.values import ABSENT, alike, leaves, unlike


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (False, 0.0, False),
        ("1", 1, False),
        (None, None, True),
        (None, 0, False),
        ("NaN", "NaN", True),
        ("NaN", 0.5, False),
        (float("inf"), float("inf"), True),
        (0.1, 0.1 + 1e-18, True),
        (0.1, 0.1 + 1e-16, False),
        (10**400, 10**400, True),
        (10**400, 10**400 + 1, False),
        ("é", "e\u0301", False),
    ],
)
def test_values_agree_where_they_are_the_same_to_kfp(one: Any, other: Any, agree: bool) -> None:
    assert alike(one, other) is agree
    assert alike(other, one) is agree


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        (100.5, 99.5, True),
        (99.5, 100.5, True),
        (-100.5, -99.5, True),
        (0.5, 0.4949, False),
        (0.5, 0.4951, True),
        (0.0, 1e-300, False),
        (69, 70, False),
        (1.0, 0.995, True),
        (10**400, 0.5, False),
        ("0.5", "0.499", False),
        (float("inf"), 1.5, False),
    ],
)
def test_the_tolerance_is_a_share_of_the_larger_number_and_spares_whole_numbers(
    one: Any, other: Any, agree: bool
) -> None:
    assert alike(one, other, tolerance=0.01) is agree
    assert alike(other, one, tolerance=0.01) is agree


def test_a_metric_has_its_tolerance_in_whole_numbers_too() -> None:
    assert alike(100.0, 101.0, tolerance=0.01, whole=False)
    assert not alike(100.0, 102.0, tolerance=0.01, whole=False)


def test_six_decimals_of_a_number_agree_with_it() -> None:
    assert alike(0.9855072463768116, 0.985507, slack=1e-6)
    assert not alike(0.9855072463768116, 0.9855, slack=1e-6)


def test_the_leaves_of_a_value_have_their_places() -> None:
    value = {"b": [{"c": 1}, {}], "a": []}
    assert leaves(value) == {".a": [], ".b[0].c": 1, ".b[1]": {}}
    assert leaves(3) == {"": 3}
    assert leaves({"a.b": 1, "c[0]": {"d": 2}}) == {'["a.b"]': 1, '["c[0]"].d': 2}


def test_unlike_says_where_and_takes_the_first_for_the_measure() -> None:
    values = [{"x": [1.0, 2.5]}, {"x": [1, 2.51]}, {"x": [1, 2.5, 3]}]
    assert unlike(values, alike) == [
        (".x[1]", [2.5, 2.51, 2.5]),
        (".x[2]", [ABSENT, ABSENT, 3]),
    ]
    assert unlike(values[:2], partial(alike, tolerance=0.01)) == []


@pytest.mark.parametrize("other", [{"a": {"b": 1}, "c": [2]}, {"a": {"b": 1}, "c[0]": 2}])
def test_a_key_is_not_taken_for_a_place_further_inside(other: dict[str, Any]) -> None:
    assert unlike([{"a.b": 1, "c[0]": 2}, other], alike)


def test_absent_is_neither_null_nor_empty() -> None:
    values: list[Any] = [None, {}, [], "", 0]
    for value in values:
        assert unlike([value, ABSENT], alike)
        assert not unlike([value, value], alike)
