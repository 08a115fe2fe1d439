"""Draw what the tables say as grouped bars, by matplotlib, as small SVG files."""

import io
from collections.abc import Sequence

from bench.figures import MB
from bench.plan import LOCAL, PLAN, Chart, Unit
from bench.report import Row

INK = "#6b7280"
"""Text and lines: grey, to be read on white and on black."""
SCALE: dict[Unit, tuple[float, str]] = {
    "B": (MB, "MB"),
    "s": (1, "seconds"),
    "MiB": (1, "MiB"),
    "1/s": (1, "per second"),
    "ms": (1, "ms"),
}


def draw(table: Sequence[Row]) -> dict[str, str]:
    """Return the charts for which a table has figures as SVG, by name. The same table gives the same bytes."""
    return {chart.name: svg(chart, rows) for chart in PLAN.charts if (rows := rows_of(chart, table))}


def rows_of(chart: Chart, table: Sequence[Row]) -> list[Row]:
    """Return the rows that a chart shows."""
    return [
        row
        for row in table
        if row.scenario.group == chart.group
        and row.metric.name in chart.metrics
        and (chart.models is None or row.model in chart.models)
    ]


def category(chart: Chart, row: Row) -> str:
    """Return the label of a row's bars."""
    text = row.metric.title.partition(",")[0] if len(chart.metrics) > 1 else row.scenario.title
    return text if row.model == LOCAL else f"{text}\n{PLAN.model(row.model).title.partition(',')[0]}"


def svg(chart: Chart, rows: Sequence[Row]) -> str:
    """Return a chart as SVG: a group of bars for each row, a bar for each contender, a line for its spread."""
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
    divisor, unit = SCALE[rows[0].metric.unit]
    contenders = [one for one in PLAN.contenders if any(one.name in row.cells for row in rows)]
    height = 0.9 + len(rows) * (0.12 + 0.19 * len(contenders))
    figure, axes = pyplot.subplots(figsize=(7.6, height), layout="constrained")
    width = 0.8 / len(contenders)
    medians: list[float] = []
    for place, contender in enumerate(contenders):
        label: str | None = contender.name  # of the first bar alone, or the legend would repeat it
        for number, row in enumerate(rows):
            if contender.name not in row.cells:
                continue
            summary = row.cells[contender.name].summary
            median, least, most = (value / divisor for value in (summary.median, summary.least, summary.most))
            at = number - 0.4 + width * (place + 0.5)
            axes.barh(at, median, width * 0.9, color=contender.colour, label=label)
            if least < most:
                axes.plot([least, most], [at, at], color=INK, linewidth=1)
            axes.annotate(_figure(median), (most, at), (3, 0), textcoords="offset points", va="center")
            medians.append(median)
            label = None
    axes.set_yticks(range(len(rows)), [category(chart, row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    if chart.logarithmic:
        # Linear from zero to the least figure.
        axes.set_xscale("symlog", linthresh=min((one for one in medians if one > 0), default=1.0))
        axes.xaxis.set_major_formatter(lambda value, _place: _figure(value))
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.set_xlabel(unit)
    axes.set_title(chart.title, loc="left", fontsize=11)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    figure.legend(frameon=False, loc="outside lower left", ncols=4)
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    # Trailing blanks are matplotlib's; git would mark them.
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
