"""When an alarm fires: the tables of AWS's page about missing data, the newest value first."""

import pytest

from devcloud.emulator.alarm_states import ALARM, INSUFFICIENT_DATA, OK, Rule, state

RETAINED = "the state before"
VALUES = {"X": 2.0, "0": 0.0, "-": None}
"""Over the threshold, below it, and no data."""

THREE_OF_THREE = [
    ("0 - X - X", OK, OK, OK, OK),
    ("- - - - 0", OK, OK, OK, OK),
    ("- - - - -", INSUFFICIENT_DATA, RETAINED, ALARM, OK),
    ("0 X X - X", OK, OK, OK, OK),
    ("X X X - 0", ALARM, ALARM, ALARM, ALARM),
    ("- - X - -", ALARM, RETAINED, ALARM, OK),
    ("X - - - -", RETAINED, RETAINED, ALARM, OK),
]
TWO_OF_THREE = [
    ("0 - X - X", ALARM, ALARM, ALARM, ALARM),
    ("0 0 X 0 X", OK, OK, OK, OK),
    ("0 - X - -", OK, OK, ALARM, OK),
    ("- - - - 0", OK, OK, ALARM, OK),
    ("- - - X -", ALARM, RETAINED, ALARM, OK),
]
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
ROWS = [(3, row) for row in THREE_OF_THREE] + [(2, row) for row in TWO_OF_THREE]


@pytest.mark.parametrize(("to_alarm", "row"), ROWS, ids=[f"{to_alarm} of 3: {row[0]}" for to_alarm, row in ROWS])
def test_missing_data_is_treated_as_aws_says(to_alarm: int, row: tuple[str, str, str, str, str]) -> None:
    points, *expected = row
    values = [VALUES[point] for point in points.split()]
    found = [state(Rule("GreaterThanThreshold", 1, 3, to_alarm, missing), values, RETAINED) for missing in TREATMENTS]
    assert found == expected


@pytest.mark.parametrize(
    ("comparison", "below", "equal", "above"),
    [
        ("GreaterThanThreshold", OK, OK, ALARM),
        ("GreaterThanOrEqualToThreshold", OK, ALARM, ALARM),
        ("LessThanThreshold", ALARM, OK, OK),
        ("LessThanOrEqualToThreshold", ALARM, ALARM, OK),
    ],
)
def test_the_four_comparisons(comparison: str, below: str, equal: str, above: str) -> None:
    rule = Rule(comparison, 1, 1, 1, "missing")
    assert [state(rule, [value], OK) for value in (0, 1, 2)] == [below, equal, above]
