"""When a recurring run is due, as a person writes it."""

from __future__ import annotations

import pytest

from kfpkit.core.errors import BadInputError
from kfpkit.runs.schedule import When, when


@pytest.mark.parametrize(
    "cron",
    [
        "0 0 6 * * *",
        "0 30 6 * * 1-5",
        "0 */15 * * * *",
        "*/10 * * * * ?",
        "0 0 0 1,15 JAN,jul MON-FRI",
        "5/20 0 0 31 12 0",
    ],
)
def test_cron_as_the_server_reads_it(cron: str) -> None:
    assert when(cron, "") == When(cron=cron)


def test_spaces_do_not_matter() -> None:
    assert when("  0  0 6 * *\t* ", "") == When(cron="0 0 6 * * *")


@pytest.mark.parametrize(
    ("every", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("6h", 21600), ("1d", 86400)]
)
def test_every(every: str, seconds: int) -> None:
    assert when("", every) == When(seconds=seconds)


def test_five_fields_are_not_taken_for_six() -> None:
    with pytest.raises(BadInputError, match=r'5 fields.*"0 0 6 \* \* \*"'):
        when("0 6 * * *", "")


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("* * *", "has 3 fields"),
        ("60 * * * * *", "'60' is no second"),
        ("0 60 * * * *", "'60' is no minute"),
        ("0 0 24 * * *", "'24' is no hour"),
        ("0 0 0 0 * *", "'0' is no day of the month"),
        ("0 0 0 * 13 *", "'13' is no month"),
        ("0 0 0 * * 7", "'7' is no day of the week"),
        ("0 0 0 * MOND *", "'MOND' is no month"),
        ("0 0 5-3 * * *", "'5-3' is no hour"),
        ("0 */0 * * * *", r"'\*/0' is no minute"),
        ("0 1-2-3 * * * *", "'1-2-3' is no minute"),
        ("0 1,,2 * * * *", "'1,,2' is no minute"),
        ("0 -1 * * * *", "'-1' is no minute"),
        ("@daily", "has 1 fields"),
    ],
)
def test_bad_cron_is_named_with_its_field(cron: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        when(cron, "")


@pytest.mark.parametrize("every", ["0", "-5", "soon", "1.5h", "5 m", "1w"])
def test_bad_intervals(every: str) -> None:
    with pytest.raises(BadInputError, match="no time between two runs"):
        when("", every)


@pytest.mark.parametrize(("cron", "every"), [("", ""), ("0 0 6 * * *", "1h")])
def test_one_of_the_two(cron: str, every: str) -> None:
    with pytest.raises(BadInputError, match="one of them"):
        when(cron, every)
