"""Durations as people write and read them."""

from __future__ import annotations

import pytest

from kfpkit.core import durations
from kfpkit.core.errors import BadInputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), (" 6h ", 21600), ("30d", 2592000), ("2w", 1209600)],
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert durations.parse(text, "EVERY") == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "0", "0h", "-5", "-1d", "1y", "1.5h", "5 m", "d", "soon"]
)
def test_what_is_no_duration_is_refused_with_the_setting_and_its_units(text: str) -> None:
    with pytest.raises(BadInputError, match="EVERY") as refused:
        durations.parse(text, "EVERY")
    assert "90s, 15m, 6h, 30d or 8w" in refused.value.do


@pytest.mark.parametrize("text", ["30", "30s", "30m"])
def test_a_unit_that_the_setting_does_not_take_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match=f"OLDER_THAN={text} is no duration") as refused:
        durations.parse(text, "OLDER_THAN", units="hdw")
    assert "6h, 30d or 8w" in refused.value.do
    assert "15m" not in refused.value.do


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7620, "2 h 07 min"),
    ],
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    assert durations.write(seconds) == text
