"""The state of a CloudWatch alarm, from the periods that it looks at: a pure function.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html, whose tables are its tests.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
MORE_PERIODS = 2
"""So many periods more are looked at, for data that takes the place of data that is missing: five for three."""
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanOrEqualToThreshold": operator.le,
    "LessThanThreshold": operator.lt,
}


@dataclass(frozen=True)
class Rule:
    """When an alarm fires."""

    comparison: str
    threshold: float
    periods: int
    to_alarm: int
    missing: str
    """Treatment of a period without data: missing, ignore, breaching or notBreaching."""

    def breaches(self, value: float) -> bool:
        """Return whether a value is one to alarm for."""
        return COMPARISONS[self.comparison](value, self.threshold)


def state(rule: Rule, values: Sequence[float | None], before: str) -> str:
    """Return the state of an alarm that was in the state `before`.

    `values` are those of its periods and MORE_PERIODS others, the newest first; None for a period without data.
    """
    known = [rule.breaches(value) for value in values if value is not None]
    if len(known) >= rule.periods:
        return ALARM if sum(known[: rule.periods]) >= rule.to_alarm else OK
    filled = rule.periods - len(known)
    if rule.missing == "breaching":
        return ALARM if sum(known) + filled >= rule.to_alarm else OK
    if rule.missing == "notBreaching":
        return ALARM if sum(known) >= rule.to_alarm else OK
    if not known:
        return before if rule.missing == "ignore" else INSUFFICIENT_DATA
    if sum(known) >= rule.to_alarm:
        return ALARM
    if not all(known):
        return OK
    oldest = max(number for number, value in enumerate(values, 1) if value is not None)
    # One value over the threshold alone is no alarm yet, unless it is as old as an alarm takes.
    return ALARM if rule.missing == "missing" and oldest >= rule.to_alarm else before
