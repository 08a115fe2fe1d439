"""The table: ratios, and a reason for each that is below 1; the plots and the page that are made of it."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import pages, plots, report
from bench.plan import BAKE, LOCAL, MONOLITH, OURS, PLAN, Explanation, Plan, Step
from bench.report import Row
from bench.results import Results
from devcloud.bootstrap import ROOT

RANDOM = PLAN.models[1].name
FACTS = {"commit": "abc1234", "machine": "2 cores of <x>"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    made = Results(tmp_path_factory.mktemp("results") / "results.json", FACTS)

    def add(contender: str, scenario: str, model: str = LOCAL, **figures: list[float]) -> None:
        for run in range(max(map(len, figures.values()))):
            values = {name: values[run] for name, values in figures.items() if run < len(values)}
            made.add(Step(model, contender, scenario, run + 1), values, "2026-11-25T10:00:00Z")

    add(OURS, "code-api", seconds=[1.0, 1.2, 1.1], pushed=[30_000.0] * 3)
    add(MONOLITH, "code-api", seconds=[11.0, 12.0, 13.0], pushed=[60_000_000.0] * 3)
    add(BAKE, "code-api", seconds=[1.0, 0.9, 1.05], pushed=[20_000.0] * 3)
    add(OURS, "size", api=[200e6], worker=[350e6], base=[1260e6])
    add(MONOLITH, "size", api=[2100e6], worker=[2100e6])
    add(OURS, "jobs", rate=[9.0, 10.0, 11.0], peak=[180.0] * 3)
    add(OURS, "jobs", model=RANDOM, rate=[3.0], peak=[400.0])
    return made


@pytest.fixture
def table(results: Results) -> list[Row]:
    return report.rows(results)


@pytest.fixture(scope="module")
def drawn(results: Results) -> dict[str, str]:
    return plots.draw(report.rows(results))


def row(table: list[Row], scenario: str, metric: str, model: str = LOCAL) -> Row:
    return next(one for one in table if (one.scenario.name, one.metric.name, one.model) == (scenario, metric, model))


def test_a_row_has_medians_and_ratios_to_ours(table: list[Row]) -> None:
    cells = row(table, "code-api", "seconds").cells
    assert cells[OURS].summary.median == 1.1
    assert cells[OURS].ratio is None
    assert cells[MONOLITH].ratio == pytest.approx(12 / 1.1)
    assert not cells[MONOLITH].worse


def test_a_difference_within_the_spread_is_said_to_be_none(table: list[Row]) -> None:
    cell = row(table, "code-api", "seconds").cells[BAKE]
    assert cell.worse
    assert cell.note == "no difference beyond the spread of the runs"


def test_a_ratio_below_1_without_a_reason_is_told(table: list[Row]) -> None:
    assert report.unexplained(table) == ["one file of the API, pushed (MiniLM): x 0.67 against bake"]
    assert "bake: **not explained**" in report.notes(row(table, "code-api", "pushed"))


def test_a_given_reason_stands_in_the_table(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = Explanation(reason="because of <this>", scenarios=("code-api",), metrics=("pushed",), contenders=(BAKE,))
    monkeypatch.setattr(Plan, "why", lambda _, *about: reason.reason if reason.holds(*about) else None)
    table = report.rows(results)
    assert report.unexplained(table) == []
    assert "bake: because of <this>" in pages.markdown(table, results, {})
    assert "bake: because of &lt;this&gt;" in pages.html(table, results, {})


def test_a_reason_is_about_what_it_names_and_empty_means_any() -> None:
    reason = Explanation(reason="x", scenarios=("cold",), contenders=(BAKE,))
    assert reason.holds("cold", "seconds", BAKE)
    assert not reason.holds("cold", "seconds", MONOLITH)
    assert not reason.holds("nothing", "seconds", BAKE)


def test_the_markdown_has_a_table_for_each_group_with_figures(table: list[Row], results: Results) -> None:
    text = pages.markdown(table, results, {"size-images": "", "build-time": ""})
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [
        "Size",
        "Build and push",
        "The worker at work",
        "Not measured",
    ]
    assert "Measured on 2026-11-25" in text
    assert "![size-images](benchmarks/size-images.svg)" in text
    assert "| one file of the API: time | 1.10 s (1.00 s to 1.20 s) | 12.0 s (11.0 s to 13.0 s), x 10.9 |" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("| one file of the API")}
    assert len(widths) == 1


def test_charts_have_a_category_for_each_row(table: list[Row], drawn: dict[str, str]) -> None:
    charts = {chart.name: chart for chart in PLAN.charts}

    def categories(name: str) -> list[str]:
        return [plots.category(charts[name], row) for row in plots.rows_of(charts[name], table)]

    assert categories("build-time") == ["one file of the API"]
    assert categories("work-rate") == ["worker: panels", "worker: panels\nBERT-base's shape"]
    assert categories("size-images") == ["API", "worker", "base"]
    assert "start-time" not in drawn


def test_charts_have_a_bar_for_each_contender_in_the_unit_of_the_chart(drawn: dict[str, str]) -> None:
    colours = {contender.name: contender.colour for contender in PLAN.contenders}
    bars = {name: drawn["size-images"].count(f"fill: {colour}") for name, colour in colours.items()}
    # One more for the legend.
    assert bars == {OURS: 3 + 1, MONOLITH: 2 + 1, "two-tier": 0, BAKE: 0}
    assert re.search(r">\s*200\s*<", drawn["size-images"])


def test_plots_are_small_and_the_same_bytes_each_time(table: list[Row], drawn: dict[str, str]) -> None:
    first = next(chart for chart in PLAN.charts if chart.name in drawn)
    assert plots.svg(first, plots.rows_of(first, table)) == drawn[first.name]
    for svg in drawn.values():
        assert ElementTree.fromstring(svg).tag.endswith("svg")  # noqa: S314  our own
        assert len(svg) < 60_000
        assert "ours" in svg


def test_the_page_is_one_file_that_asks_for_nothing(table: list[Row], results: Results, drawn: dict[str, str]) -> None:
    text = pages.html(table, results, drawn)
    assert not re.search(r"<(?:script|link|img|iframe)\b", text)
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert "2 cores of &lt;x&gt;" in text
    assert text.count("<svg") == text.count("</svg>") > 0
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for used in re.findall(r'(?:url\(|href=")#([^")]+)', text):
        assert used in ids


def test_the_committed_page_is_that_of_the_committed_results_and_explains_each_ratio_below_1() -> None:
    committed = Results.load(ROOT / "docs" / "benchmarks" / "results.json")
    table = report.rows(committed)
    names = [chart.name for chart in PLAN.charts if plots.rows_of(chart, table)]
    assert (ROOT / "docs" / "benchmarks.md").read_text() == pages.markdown(table, committed, dict.fromkeys(names, ""))
    assert sorted(file.stem for file in (ROOT / "docs" / "benchmarks").glob("*.svg")) == sorted(names)
    assert report.unexplained(table) == []


def test_the_pages_say_what_was_not_measured(table: list[Row], results: Results) -> None:
    left = dict(report.missing(results))
    assert left["one file of the API"].startswith("MiniLM (two-tier); BERT-base's shape")
    assert "size" in left  # two tiers, bake
    text = pages.markdown(table, results, {})
    assert f"- one file of the API: {left['one file of the API']}" in text[text.index("## Not measured") :]
    assert "What was not" in pages.html(table, results, {})


def test_a_figure_of_one_run_is_not_called_a_median(tmp_path: Path) -> None:
    once = Results(tmp_path / "once.json", FACTS)
    once.add(Step(LOCAL, OURS, "nothing", 1), {"seconds": 1.0}, "2026-11-25T10:00:00Z")
    assert report.spread(report.rows(once)) == "Each figure is that of one run: there is no spread."
    once.add(Step(LOCAL, OURS, "nothing", 2), {"seconds": 2.0}, "2026-11-25T10:00:00Z")
    assert "of 2 runs" in report.spread(report.rows(once))
