"""Summarise figures: the median of several runs with its spread, ratios between contenders, how both are written."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.plan import Metric, Unit

KB, MB, GB = 1_000, 1_000_000, 1_000_000_000


@dataclass(frozen=True)
class Summary:
    """Several runs of one measurement, in the metric's unit."""

    median: float
    least: float
    most: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Summary":
        """Return the summary of one value or more."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def overlaps(self, other: "Summary") -> bool:
        """Return whether the two spreads touch: then the runs do not tell them apart."""
        return self.least <= other.most and other.least <= self.most


def ratio(metric: Metric, ours: Summary, theirs: Summary) -> float | None:
    """Return how many times better ours is: 2 is twice as good, 0.5 half as good. None if there is nothing to divide.

    Two zeros (nothing pushed by either) are alike: 1.
    """
    better, worse = (ours.median, theirs.median) if metric.more_is_better else (theirs.median, ours.median)
    if better == worse:
        return 1.0
    return better / worse if worse else None


def shown(value: float, unit: Unit) -> str:
    """Return a value as a person would write it, with two or three significant digits."""
    if unit == "B":
        return _bytes(value)
    if unit == "s" and value >= 120:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes} min {rest:02d} s"
    if unit == "s" and 0 < value < 0.1:
        return f"{value * 1000:.0f} ms"
    return f"{_digits(value)}{'/s' if unit == '1/s' else f' {unit}'}"


def _bytes(value: float) -> str:
    for size, name in ((GB, "GB"), (MB, "MB"), (KB, "kB")):
        if value >= size:
            return f"{_digits(value / size)} {name}"
    return f"{value:.0f} B"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread_shown(summary: Summary, unit: Unit) -> str:
    """Return the least and the most of several runs that differ; empty if they do not."""
    least, most = shown(summary.least, unit), shown(summary.most, unit)
    return "" if least == most else f"{least} to {most}"


def ratio_shown(value: float | None) -> str:
    """Return a ratio as `x 3.4`; empty if there is none."""
    return "" if value is None else f"x {_digits(value)}"
