"""The plots, as SVG that a strict page can hold."""

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from app.dashboard import plots
from app.dashboard.records import CategoryMonth, CategoryTotal, Hour, TrendLine

MONTHS = [datetime(2025 + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(12)]


def classes(svg: str) -> list[str]:
    return [found.get("class") or "" for found in ElementTree.fromstring(svg).iter()]  # noqa: S314


def titles(svg: str) -> list[str]:
    return [found.text or "" for found in ElementTree.fromstring(svg).iter() if found.tag.endswith("title")]  # noqa: S314


def test_categories_past_the_most_frequent_are_one_bar() -> None:
    totals = [CategoryTotal(f"category_{number}", 100 - number) for number in range(30)]
    found = titles(plots.categories(totals))
    assert len(found) == plots.MOST_CATEGORIES + 1
    assert found[-1] == "category 0: 100"
    assert found[0] == f"all others: {sum(100 - number for number in range(12, 30))}"


def test_months_are_stacked_by_the_most_frequent_categories() -> None:
    rows = [CategoryMonth(month, f"category_{number}", 30 - number) for month in MONTHS for number in range(9)]
    svg, names = plots.stacked(rows)
    assert names == [*(f"category {number}" for number in range(5)), "all others"]
    assert "series serie-5 color-5" in classes(svg)


def test_a_single_month_and_a_day_without_jobs_can_be_drawn() -> None:
    assert "circle" in plots.sparkline(TrendLine("hba1c", "%", 3, ((MONTHS[0], 6.1),)))
    assert "<svg" in plots.hours([Hour(MONTHS[0], 0, 0)])
    assert "<svg" in plots.hours([])
    assert "<svg" in plots.stacked([CategoryMonth(MONTHS[0], "lipids", 1)])[0]


def test_a_value_shows_itself_when_pointed_at() -> None:
    assert "Feb 2025: 5.9" in titles(plots.sparkline(TrendLine("hba1c", "%", 3, ((MONTHS[0], 6.1), (MONTHS[1], 5.9)))))


@pytest.mark.parametrize(
    "means",
    [
        ((5.6 + 5.6 + 5.6) / 3, 5.6),  # differ in the last bit only
        (100.0, 100.00000000000001),
        (1e300, 1.0),
        (1.7e308, -1.7e308),
        (5e-324, 0.0),
        (0.0, 0.0),
    ],
)
def test_no_value_is_too_near_or_too_far_from_another_to_be_drawn(means: tuple[float, float]) -> None:
    svg = plots.sparkline(TrendLine("hba1c", "%", 3, tuple(zip(MONTHS, means, strict=False))))
    assert f"Jan 2025: {means[0]:.4g}" in titles(svg)


def test_the_least_is_below_and_the_greatest_above() -> None:
    assert plots.heights([5.0, 6.0, 5.5]) == [0.0, 1.0, 0.5]


def test_names_are_text_and_nothing_else() -> None:
    svg = plots.categories([CategoryTotal("<script>alert(1)</script>", 3), CategoryTotal("a & b", 2)])
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (4, [0, 1, 2, 3, 4]),
        (26, [0, 10, 20, 30]),
        (613, [0, 200, 400, 600, 800]),
        (10**9, [0, 500_000_000, 10**9]),
    ],
)
def test_an_axis_has_few_round_numbers_and_holds_the_most(most: int, expected: list[int]) -> None:
    assert plots.scale(most) == expected
