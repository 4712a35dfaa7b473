"""The gate: it passes what is good enough and says why it stops a run."""

from __future__ import annotations

import pytest

from components.check_accuracy.logic import check_accuracy
from components.errors import ComponentError


@pytest.mark.parametrize(("accuracy", "least"), [(0.95, 0.9), (0.9, 0.9), (0.0, 0.0), (1.0, 1.0)])
def test_a_model_that_is_good_enough_passes(accuracy: float, least: float) -> None:
    assert check_accuracy(accuracy, least) == {}


def test_an_accuracy_below_the_threshold_fails_with_both_figures() -> None:
    with pytest.raises(ComponentError, match=r"accuracy 0\.8999 is below min_accuracy 0\.9"):
        check_accuracy(0.8999, 0.9)


@pytest.mark.parametrize("least", [-0.1, 1.1, 90.0, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(least: float) -> None:
    with pytest.raises(ComponentError, match=r"^min_accuracy is .+\. Give a value from 0 to 1"):
        check_accuracy(0.95, least)


def test_an_accuracy_that_is_no_number_is_refused() -> None:
    with pytest.raises(ComponentError, match=r"^accuracy is nan"):
        check_accuracy(float("nan"), 0.5)
