"""The components' one kind of error: a line that says what is wrong, where, and what to do."""

from __future__ import annotations


class ComponentError(ValueError):
    """A component cannot do its work because of what it was given.

    Args:
        what: What is wrong and where, as one sentence without a full stop.
        do: What to do about it, as one sentence without a full stop.
    """

    def __init__(self, what: str, do: str) -> None:
        super().__init__(f"{what}. {do}.")


def check_range(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Check that a parameter lies between two bounds, both of them allowed.

    Raises:
        ComponentError: It does not; NaN never does.
    """
    if not low <= value <= high:
        bounds = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise ComponentError(f"{name} is {value:g}", f"Give a value {bounds}")


def check_seed(seed: int) -> None:
    """Check that a seed is one that NumPy's generator takes.

    Raises:
        ComponentError: It is negative or does not fit into 32 bits.
    """
    if not 0 <= seed < 2**32:
        raise ComponentError(f"seed is {seed}", "Give a whole number from 0 to 4294967295")
