"""Conditions as kfp's compiler writes them."""

from __future__ import annotations

from typing import Any

import pytest

from kfpkit.core.errors import KitError
from kfpkit.runs.local import condition as local_condition

X = "inputs.parameter_values['x']"


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        (f"int({X}) == 3", 3, True),
        (f"int({X}) == 3", 3.0, True),
        (f"int({X}) != 3", "3", False),
        (f"double({X}) > 2.5", 3, True),
        (f"{X} >= -1.5e3", -1500, True),
        (f"{X} == true", True, True),
        (f"{X} == ''", "", True),
        (f"{X} == 'a b'", "a b", True),
        (f"'a' < {X}", "b", True),
        (f"{X} == '2'", 2, False),
        (f"{X} != 2", "2", True),
        (f"!({X} == 'a') && {X} == 'b'", "b", True),
        (f"!({X} == 'a') && !({X} == 'b')", "b", False),
        (f"({X} == 'a' || {X} == 'b')", "b", True),
        (f"{X} == 'a'", "' == '' || 'a' == 'a", False),
        (f"{X} == 'a'", "it's", False),
        (f"{X} == 'a'", "__import__('os').abort()", False),
    ],
)
def test_a_condition(condition: str, value: Any, *, holds: bool) -> None:
    assert local_condition.holds(condition, {"x": value}) is holds


@pytest.mark.parametrize(
    ("condition", "value", "error"),
    [
        (f"{X} > 2", "3", "compares '3' with 2.0, which have no order"),
        (f"{X} < {X}", [1], "which have no order"),
        (f"int({X}) == 3", "three", "int() of 'three', which is no number"),
        (f"int({X}) == 3", True, "int() of True"),
        (f"{X} == 1", None, "asks for 'x', which has no value"),
        (f"{X}", 1, "asks for a truth value, and got 1"),
        (f"{X} == 'it's'", "", "cannot be read"),
        (f"{X} == 'a\\d'", "", "cannot be read"),
        (f"{X} ==", 1, "cannot be read"),
        (f"({X} == 1", 1, "cannot be read"),
        (f"{X} == 1 1", 1, "cannot be read"),
        ("exit()", 1, "cannot be read"),
    ],
)
def test_a_condition_that_cannot_be_evaluated(condition: str, value: Any, error: str) -> None:
    with pytest.raises(KitError) as raised:
        local_condition.holds(condition, {"x": value})
    assert error in str(raised.value)


@pytest.mark.parametrize("other", [{}, {"n": "half"}])
def test_an_error_does_not_count_where_the_other_side_decides(other: dict[str, Any]) -> None:
    number = "int(inputs.parameter_values['n']) > 3"
    assert not local_condition.holds(f"!({X} == 'a') && {number}", {"x": "a", **other})
    assert local_condition.holds(f"{number} || {X} == 'a'", {"x": "a", **other})
    with pytest.raises(KitError):
        local_condition.holds(f"!({X} == 'a') && {number}", {"x": "b", **other})
