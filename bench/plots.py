"""The plots: grouped bars of what the table says, drawn by matplotlib as small SVG files."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import MB, Summary
from bench.plan import BOTH, CONTENDERS, LOCAL, Unit
from bench.report import MODELS, Row

COLOURS = {"ours": "#0f766e", "monolith": "#b45309", "two-tier": "#7c6f9f", "bake": "#3b82b6"}
INK = "#6b7280"
"""Text and lines: grey, to be read on white and on black."""
SCALE: dict[Unit, tuple[float, str]] = {
    "B": (MB, "MB"),
    "s": (1, "seconds"),
    "MiB": (1, "MiB"),
    "1/s": (1, "per second"),
    "ms": (1, "ms"),
}


@dataclass(frozen=True)
class Chart:
    """Grouped bars: a group for each category, a bar for each contender."""

    name: str
    """Of its file; the part before the hyphen is the group of its scenarios."""
    title: str
    unit: str
    categories: tuple[str, ...]
    bars: tuple[tuple[str, tuple[Summary | None, ...]], ...]
    """By contender: a summary for each category, in the unit of the chart; None where there is none."""
    logarithmic: bool


@dataclass(frozen=True)
class _Wanted:
    name: str
    title: str
    group: str
    metrics: tuple[str, ...]
    logarithmic: bool = False
    models: tuple[str, ...] = BOTH


WANTED = (
    _Wanted("size-images", "Image, unpacked", "size", ("api", "worker", "web", "base")),
    _Wanted("build-time", "Build and push", "build", ("seconds",), True, (LOCAL,)),
    _Wanted("build-pushed", "Pushed", "build", ("pushed",), True, (LOCAL,)),
    _Wanted("build-pulled", "Pulled by hosts with the release before", "build", ("pulled",), True, (LOCAL,)),
    _Wanted("start-time", "Start to ready", "start", ("seconds",)),
    _Wanted("start-memory", "Resident when idle", "start", ("rss",)),
    _Wanted("serve-rate", "Requests within 1 CPU and 2 GB", "serve", ("rate",)),
    _Wanted("serve-p99", "99th percentile of the time to an answer", "serve", ("p99",), logarithmic=True),
    _Wanted("work-rate", "Jobs within 0.5 CPU and 3 GB", "work", ("rate",)),
    _Wanted("work-memory", "Worker's peak", "work", ("peak",)),
)


def charts(table: Sequence[Row]) -> list[Chart]:
    """What to draw of a table: the charts for which it has figures."""
    found = []
    for wanted in WANTED:
        rows = [
            row
            for row in table
            if row.scenario.group == wanted.group and row.metric.name in wanted.metrics and row.model in wanted.models
        ]
        if rows:
            found.append(_chart(wanted, rows))
    return found


def _chart(wanted: _Wanted, rows: Sequence[Row]) -> Chart:
    divisor, unit = SCALE[rows[0].metric.unit]
    names = [one.name for one in CONTENDERS if any(one.name in row.cells for row in rows)]
    return Chart(
        name=wanted.name,
        title=wanted.title,
        unit=unit,
        categories=tuple(_category(row, several=len(wanted.metrics) > 1) for row in rows),
        bars=tuple((name, tuple(_scaled(row, name, divisor) for row in rows)) for name in names),
        logarithmic=wanted.logarithmic,
    )


def _category(row: Row, *, several: bool) -> str:
    what = row.metric.title.partition(",")[0] if several else row.scenario.title
    return what if row.model == LOCAL else f"{what}\n{MODELS[row.model].partition(',')[0]}"


def _scaled(row: Row, contender: str, divisor: float) -> Summary | None:
    cell = row.cells.get(contender)
    if cell is None:
        return None
    whole = cell.summary
    return Summary(whole.median / divisor, whole.least / divisor, whole.most / divisor, whole.runs)


def draw(table: Sequence[Row]) -> dict[str, str]:
    """The charts of a table as SVG, by name. The same table gives the same bytes."""
    return {chart.name: svg(chart) for chart in charts(table)}


def svg(chart: Chart) -> str:
    # Here, not above: it takes a second, and only `make bench` draws.
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams.update(
        {
            "svg.hashsalt": chart.name,
            "svg.fonttype": "none",
            "font.family": "sans-serif",
            "font.size": 9,
            **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
        }
    )
    height = 0.9 + len(chart.categories) * (0.12 + 0.19 * len(chart.bars))
    figure, axes = pyplot.subplots(figsize=(7.6, height), layout="constrained")
    width = 0.8 / len(chart.bars)
    for place, (contender, summaries) in enumerate(chart.bars):
        for number, summary in enumerate(summaries):
            if summary is None:
                continue
            at = number - 0.4 + width * (place + 0.5)
            label = contender if number == _first(summaries) else None
            axes.barh(at, summary.median, width * 0.9, color=COLOURS[contender], label=label)
            if summary.least < summary.most:
                axes.plot([summary.least, summary.most], [at, at], color=INK, linewidth=1)
            axes.annotate(_figure(summary.median), (summary.most, at), (3, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(chart.categories)), chart.categories)
    axes.set_ylim(len(chart.categories) - 0.5, -0.5)
    if chart.logarithmic:
        axes.set_xscale("symlog", linthresh=_least(chart))
        axes.xaxis.set_major_formatter(lambda value, _place: _figure(value))
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.set_xlabel(chart.unit)
    axes.set_title(chart.title, loc="left", fontsize=11)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    figure.legend(frameon=False, loc="outside lower left", ncols=4)
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    # Trailing blanks are matplotlib's; git would mark them.
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _first(summaries: Sequence[Summary | None]) -> int:
    return next(number for number, summary in enumerate(summaries) if summary is not None)


def _least(chart: Chart) -> float:
    """Where a logarithmic axis begins: below it, down to zero, it is linear."""
    medians = [one.median for _, summaries in chart.bars for one in summaries if one and one.median > 0]
    return min(medians, default=1.0)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
