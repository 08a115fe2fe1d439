"""Write the results for readers: docs/benchmarks.md, and a page that is one file with its plots and without scripts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.figures import ratio_shown, shown, spread_shown
from bench.plan import LOCAL, OURS, PLAN
from bench.report import Row, date, missing, notes, spread
from bench.results import Results


def markdown(table: Sequence[Row], results: Results, plots: Mapping[str, str]) -> str:
    """Return the page for a reader of the repository. `plots` are SVGs by name, which begins with their group."""
    return _render("page.md", table, results, plots)


def html(table: Sequence[Row], results: Results, plots: Mapping[str, str]) -> str:
    """Return the page that a person opens."""
    return _render("page.html", table, results, {name: _inline(svg, name) for name, svg in plots.items()})


def _render(template: str, table: Sequence[Row], results: Results, plots: Mapping[str, str]) -> str:
    jinja = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=template.endswith(".html"),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    jinja.filters["code"] = _code
    return jinja.get_template(template).render(
        abouts={contender.title: contender.about for contender in PLAN.contenders},
        contenders=PLAN.contenders,
        date=date(results),
        facts=results.facts,
        groups=list(_groups(table, plots)),
        headlines=list(_headlines(table)),
        missing=missing(results),
        models={model.name: model.title for model in PLAN.models},
        notes=notes,
        ratio_shown=ratio_shown,
        scenarios={row.scenario.title: row.scenario.about for row in table},
        shown=shown,
        spread=spread(table),
        spread_shown=spread_shown,
        LOCAL=LOCAL,
        OURS=OURS,
    )


def _groups(table: Sequence[Row], plots: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the groups for which there are figures."""
    for group in PLAN.groups:
        rows = [row for row in table if row.scenario.group == group.name]
        if rows:
            yield {
                "title": group.title,
                "rows": rows,
                "contenders": [one for one in PLAN.contenders if any(one.name in row.cells for row in rows)],
                "plots": {name: svg for name, svg in plots.items() if name.partition("-")[0] == group.name},
                "scenarios": {row.scenario.title: row.scenario.about for row in rows},
            }


def _headlines(table: Sequence[Row]) -> Iterator[tuple[str, str, str]]:
    """Yield our median, what it is of, and the other contenders' medians."""
    rows = {(row.scenario.name, row.metric.name, row.model): row for row in table}
    for headline in PLAN.headlines:
        row = rows.get((headline.scenario, headline.metric, LOCAL))
        if row is not None and OURS in row.cells:
            medians = {name: shown(cell.summary.median, row.metric.unit) for name, cell in row.cells.items()}
            titles = {contender.name: contender.title for contender in PLAN.contenders}
            others = [f"{titles[name]} {median}" for name, median in medians.items() if name != OURS]
            yield medians[OURS], headline.about, "; ".join(others)


def _code(text: str) -> Markup:
    """Escape a text, and mark as code what is between backticks."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))  # noqa: S704  escaped


def _inline(svg: str, name: str) -> Markup:
    """Return an SVG as an element of the page: without its prolog, with ids that no other plot has."""
    body = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', svg[svg.index("<svg") :])
    return Markup(re.sub(r'(url\(|href=")#([^")]+)', rf"\1#{name}-\2", body))  # noqa: S704  our own
