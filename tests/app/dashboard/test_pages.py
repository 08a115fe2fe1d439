"""How pages write times and numbers."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.dashboard.pages import age, moment, number


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (7_199, "120 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_an_age_is_in_its_largest_unit(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_times_are_in_utc_whatever_zone_they_came_in() -> None:
    assert moment(datetime(2026, 3, 4, 9, 30, tzinfo=UTC)) == "04 Mar 2026, 09:30"
    assert moment(datetime(2026, 3, 4, 9, 30, tzinfo=timezone(timedelta(hours=2)))) == "04 Mar 2026, 07:30"


def test_large_counts_can_be_read() -> None:
    assert number(1_234_567) == "1\u202f234\u202f567"
