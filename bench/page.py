"""The page that a person opens: one file with its style and its plots inside, and no script."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.figures import ratio_shown, summary_shown
from bench.plan import CONTENDERS, LOCAL, OURS
from bench.report import GROUPS, MODELS, Row, date, missing, notes, spread
from bench.results import Results

HEADLINES = (
    ("code-api", "seconds", "a line of the API, built and pushed"),
    ("code-api", "pushed", "pushed for it"),
    ("size", "api", "the API's image"),
    ("size", "worker", "the worker's image, with its model"),
    ("start-worker", "seconds", "worker, start to ready on half a core"),
    ("jobs", "peak", "worker's peak"),
)
"""The figures at the top: scenario, metric, and what they are of."""


def render(table: Sequence[Row], results: Results, plots: Mapping[str, str]) -> str:
    """Return the page. `plots` are SVGs by name, which begins with the group that they are of."""
    loader = FileSystemLoader(Path(__file__).parent)
    jinja = Environment(loader=loader, autoescape=True, trim_blocks=True, undefined=StrictUndefined)
    jinja.filters["code"] = _code
    groups = []
    for group, title in GROUPS.items():
        of_group = [row for row in table if row.scenario.group == group]
        if of_group:
            drawn = [_inline(svg, name) for name, svg in plots.items() if name.partition("-")[0] == group]
            shown = [one for one in CONTENDERS if any(one.name in row.cells for row in of_group)]
            groups.append((title, drawn, shown, of_group))
    return jinja.get_template("page.html").render(
        about={one.title: one.about for one in CONTENDERS},
        date=date(results),
        facts=results.facts,
        groups=groups,
        headlines=list(_headlines(table)),
        missing=dict(missing(results)),
        notes=notes,
        ratio_shown=ratio_shown,
        scenarios={row.scenario.title: row.scenario.about for row in table},
        spread=spread(table),
        summary_shown=summary_shown,
        LOCAL=LOCAL,
        MODELS=MODELS,
        OURS=OURS,
    )


def _headlines(table: Sequence[Row]) -> Iterator[tuple[str, str, str]]:
    """Yield our median, what it is of, and the other contenders' medians."""
    for scenario, metric, of in HEADLINES:
        row = next((row for row in table if (row.scenario.name, row.metric.name) == (scenario, metric)), None)
        if row is not None and OURS in row.cells:
            medians = {
                one.name: summary_shown(row.cells[one.name].summary, row.metric.unit).partition(" (")[0]
                for one in CONTENDERS
                if one.name in row.cells
            }
            than = [
                f"{one.title} {medians[one.name]}" for one in CONTENDERS if one.name in medians and one.name != OURS
            ]
            yield medians[OURS], of, "; ".join(than)


def _code(text: str) -> Markup:
    """Escape a text, and mark as code what stands between backticks."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))  # noqa: S704  escaped


def _inline(svg: str, name: str) -> Markup:
    """Return an SVG as an element of the page: without its prolog, its ids told apart from the other plots'."""
    body = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', svg[svg.index("<svg") :])
    return Markup(re.sub(r'(url\(|href=")#([^")]+)', rf"\1#{name}-\2", body))  # noqa: S704  our own
