"""Medians, spread, ratios, and how they are written."""

import pytest

from bench.figures import Summary, ratio, ratio_shown, shown, spread_shown
from bench.plan import Metric

TIME = Metric(name="seconds", title="time", unit="s")
RATE = Metric(name="rate", title="rate", unit="1/s", more_is_better=True)


def one(value: float) -> Summary:
    return Summary.of([value])


def test_a_summary_is_the_median_with_the_least_and_the_most() -> None:
    assert Summary.of([3.0, 1.0, 10.0]) == Summary(3.0, 1.0, 10.0, 3)
    assert Summary.of([1.0, 2.0]).median == 1.5


def test_less_time_and_more_requests_are_both_a_ratio_above_1() -> None:
    assert ratio(TIME, one(2), one(8)) == 4
    assert ratio(RATE, one(800), one(200)) == 4


def test_being_worse_is_a_ratio_below_1() -> None:
    assert ratio(TIME, one(8), one(2)) == 0.25


def test_nothing_against_nothing_is_1_and_nothing_against_something_has_no_ratio() -> None:
    assert ratio(TIME, one(0), one(0)) == 1
    assert ratio(TIME, one(0), one(5)) is None
    assert ratio(TIME, one(5), one(0)) == 0


def test_spreads_that_touch_overlap() -> None:
    assert Summary.of([1, 3]).overlaps(Summary.of([3, 5]))
    assert not Summary.of([1, 2]).overlaps(Summary.of([3, 5]))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "B", "0 B"),
        (999, "B", "999 B"),
        (1_500, "B", "1.50 kB"),
        (199_000_000, "B", "199 MB"),
        (1_259_000_000, "B", "1.26 GB"),
        (0, "s", "0.00 s"),
        (0.0312, "s", "31 ms"),
        (1.234, "s", "1.23 s"),
        (45.67, "s", "45.7 s"),
        (125, "s", "2 min 05 s"),
        (1234.5, "1/s", "1,234/s"),
        (4.2, "ms", "4.20 ms"),
        (178.4, "MiB", "178 MiB"),
    ],
)
def test_a_value_is_written_as_a_person_would(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text  # type: ignore[arg-type]


def test_a_spread_is_shown_only_where_there_is_one() -> None:
    assert spread_shown(one(5), "s") == ""
    assert spread_shown(Summary.of([4, 5, 9]), "s") == "4.00 s to 9.00 s"


def test_a_ratio_has_as_many_digits_as_matter() -> None:
    assert [ratio_shown(value) for value in (0.5, 12.34, 1234.5, None)] == ["x 0.50", "x 12.3", "x 1,234", ""]
