"""Two inventories differ by what is gone, changed or new."""

from __future__ import annotations

from kfpkit.operations.backup import inventory


def test_equal_inventories_have_no_difference() -> None:
    one: inventory.Inventory = {"run": {"1": ["a", "SUCCEEDED"]}, "artifact": {"key": "sha"}}
    assert inventory.differences(one, one) == []


def test_each_kind_of_difference_is_told() -> None:
    before: inventory.Inventory = {"run": {"1": ["a"], "2": ["b"]}, "artifact": {"key": "sha"}}
    after: inventory.Inventory = {"run": {"2": ["c"], "3": ["d"]}}
    assert inventory.differences(before, after) == [
        "artifact key: gone",
        "run 1: gone",
        "run 3: new",
        "run 2: ['b'] became ['c']",
    ]
