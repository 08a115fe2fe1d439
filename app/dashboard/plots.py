"""Plots as SVG inside the page: without scripts and styles of their own, which the page's policy forbids. The page's
style sheet colors them, so they follow its light and dark."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import pygal  # type: ignore[import-untyped]
from markupsafe import Markup
from pygal.style import Style  # type: ignore[import-untyped]

from app.dashboard.records import CategoryMonth, CategoryTotal, Hour, TrendLine

SVG = "http://www.w3.org/2000/svg"
# Units of the plot: a card is 340 to 600 pixels wide, so text stays readable on a phone.
WIDTH = 400
FONT = 13
STYLE = Style(label_font_size=FONT, major_label_font_size=FONT, value_font_size=FONT, legend_font_size=FONT)
MOST_CATEGORIES = 12
STACKED_CATEGORIES = 5
OTHERS = "all others"
INDISTINCT = 1e-9
"""A spread of values, as a part of the greatest, that no plot shows."""


def categories(totals: Sequence[CategoryTotal]) -> Markup:
    """Results by category, the most frequent on top; those past MOST_CATEGORIES are one bar."""
    shown = [(name(total.category), total.results) for total in totals[:MOST_CATEGORIES]]
    rest = sum(total.results for total in totals[MOST_CATEGORIES:])
    if rest:
        shown.append((OTHERS, rest))
    shown.reverse()
    chart = pygal.HorizontalBar(
        **common(height=26 * len(shown) + 14, margin_top=0, margin_bottom=14),
        print_values=True,
        print_values_position="top",
        # Room for the number beside the longest bar.
        range=(0, max(results for _, results in shown) * 1.12),
    )
    chart.x_labels = [label for label, _ in shown]
    chart.add("results", [results for _, results in shown])
    return inline(chart, "Results by category")


def hours(ended: Sequence[Hour]) -> Markup:
    """Jobs done and failed by hour."""
    most = max((hour.done + hour.failed for hour in ended), default=0)
    chart = pygal.StackedBar(**common(height=190), y_labels=scale(most), show_minor_x_labels=False, truncate_label=-1)
    chart.x_labels = [f"{hour.begins_at:%H}:00" for hour in ended]
    chart.x_labels_major = [f"{hour.begins_at:%H}:00" for hour in ended if hour.begins_at.hour % 6 == 0]
    chart.add("done", [hour.done for hour in ended])
    chart.add("failed", [hour.failed for hour in ended])
    return inline(chart, "Jobs that ended, by hour (UTC)")


def stacked(months: Sequence[CategoryMonth]) -> tuple[Markup, list[str]]:
    """Results by month, and the names of the series: the most frequent categories, then all others."""
    totals: dict[str, int] = {}
    for one in months:
        totals[one.category] = totals.get(one.category, 0) + one.results
    ranked = sorted(totals, key=lambda category: (-totals[category], category))
    series = ranked[:STACKED_CATEGORIES]
    periods = sorted({one.month for one in months})
    counts: dict[str, dict[Any, int]] = {}
    for one in months:
        kind = one.category if one.category in series else OTHERS
        by_month = counts.setdefault(kind, {})
        by_month[one.month] = by_month.get(one.month, 0) + one.results
    if OTHERS in counts:
        series.append(OTHERS)
    most = max((sum(counts[kind].get(month, 0) for kind in series) for month in periods), default=0)
    chart = pygal.StackedBar(**common(height=220), y_labels=scale(most), truncate_label=-1)
    chart.x_labels = [f"{month:%b}" if len(periods) > 6 else f"{month:%b %Y}" for month in periods]
    for kind in series:
        chart.add(kind, [counts[kind].get(month, 0) for month in periods])
    return inline(chart, "Results by month and category"), [name(kind) for kind in series]


def sparkline(trend: TrendLine) -> Markup:
    """A test's monthly means as a small line."""
    chart = pygal.Line(
        **(common(height=70) | {"width": 220, "margin": 6}),
        show_x_labels=False,
        show_y_labels=False,
        show_dots=True,
        dots_size=3,
        stroke_style={},
    )
    chart.x_labels = [f"{month:%b %Y}" for month, _ in trend.means]
    means = [mean for _, mean in trend.means]
    points = [
        {"value": height, "formatter": lambda _, mean=mean: f"{mean:.4g}"}
        for height, mean in zip(heights(means), means, strict=True)
    ]
    chart.add(trend.test_name, points)
    return inline(chart, f"Monthly means of {trend.test_name}")


def heights(means: Sequence[float]) -> list[float]:
    """Where each mean lies between the least (0) and the greatest (1); 0.5 for all where no eye could part them.

    pygal's own scale never ends over values that differ in their last bit, and overflows near the largest of floats.
    """
    # Halves: the distance of two floats may be no float, that of their halves is one.
    least, most = min(means) / 2, max(means) / 2
    if most - least <= INDISTINCT * max(abs(least), abs(most)):
        return [0.5] * len(means)
    return [(mean / 2 - least) / (most - least) for mean in means]


def common(height: int, **more: Any) -> dict[str, Any]:
    """What all plots have."""
    plain: Mapping[str, Any] = {
        "css": [],
        "js": [],
        "no_prefix": True,
        "show_legend": False,
        "style": STYLE,
        "width": WIDTH,
        "height": height,
        "margin": 8,
        "spacing": 6,
    }
    return {**plain, **more}


def scale(most: int) -> list[int]:
    """Up to five round numbers for an axis that begins at nought and holds `most`."""
    step = next(digit * 10**power for power in range(19) for digit in (1, 2, 5) if 4 * digit * 10**power >= most)
    return list(range(0, max(most, 1) + step, step))


def name(category: str | None) -> str:
    """A category as a person reads it."""
    return (category or "not yet categorised").replace("_", " ")


def inline(chart: Any, label: str) -> Markup:
    """A chart for the page: its scripts, styles and hidden texts removed, a value's text as its native tooltip."""
    root = chart.render_tree()
    root.attrib.pop("id", None)
    root.attrib.update({"role": "img", "aria-label": label})
    clean(root)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 - ElementTree has escaped all text


def clean(element: Any) -> None:
    """Remove what only pygal's own scripts and styles are for, in an element and all within it."""
    texts = {child.get("class"): child.text for child in element if child.tag in ("desc", f"{{{SVG}}}desc")}
    for child in list(element):
        if not isinstance(child.tag, str) or unwanted(child):
            element.remove(child)
        else:
            child.attrib.pop("style", None)
            clean(child)
    if texts.get("value"):
        title = ElementTree.SubElement(element, "title")
        title.text = ": ".join(text for text in (texts.get("x_label"), texts["value"]) if text)


def unwanted(element: Any) -> bool:
    """Whether an element draws nothing that is wanted."""
    tag = element.tag.rpartition("}")[2]
    classes: Iterable[str] = (element.get("class") or "").split()
    return (
        tag in ("defs", "desc", "script", "style", "title") or "tooltip-overlay" in classes or "background" in classes
    )
