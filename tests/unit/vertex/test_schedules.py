"""When Vertex AI's schedules are due: what of the kit's they can say, and one line for the rest."""

from __future__ import annotations

import pytest

from kfpkit.core.errors import BadInputError
from kfpkit.runs.schedule import when
from kfpkit.vertex.schedules import cron


@pytest.mark.parametrize(
    ("given", "every", "expected"),
    [
        ("0 30 6 * * 1-5", "", "30 6 * * 1-5"),
        ("0 0 6 ? * mon", "", "0 6 * * mon"),
        ("0 5/15,*/20,10-30/5,50/3 ?/2 * * *", "", "5-59/15,*/20,10-30/5,50-59/3 */2 * * *"),
        ("", "1m", "*/1 * * * *"),
        ("", "15m", "*/15 * * * *"),
        ("", "60m", "0 * * * *"),
        ("", "6h", "0 */6 * * *"),
        ("", "1d", "0 0 * * *"),
    ],
)
def test_what_can_be_said(given: str, every: str, expected: str) -> None:
    assert cron(when(given, every)) == expected


@pytest.mark.parametrize("every", ["90s", "45m", "7h", "2d", "1w"])
def test_a_time_that_is_no_part_of_an_hour_or_a_day(every: str) -> None:
    with pytest.raises(BadInputError, match="none is every") as refused:
        cron(when("", every))
    assert "CRON=" in refused.value.do


@pytest.mark.parametrize("second", ["30", "*", "*/10"])
def test_a_second_is_refused(second: str) -> None:
    with pytest.raises(BadInputError, match="exact to a minute") as refused:
        cron(when(f"{second} 0 6 * * *", ""))
    assert '"0 0 6 * * *"' in refused.value.do
