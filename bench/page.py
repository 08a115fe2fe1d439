"""The page that a person opens: one file with its style and its plots inside, and no script."""

import re
from collections.abc import Mapping, Sequence
from html import escape

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

STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --soft: #6b7280; --line: #d9dee4; --paper: #fbfbf9; --ours: #0f766e;
  --worse: #b45309; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --soft: #9aa3ad; --line: #343b43; --paper: #15191d;
  --ours: #5eead4; --worse: #fbbf24; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; } h2 { margin: 3rem 0 1rem; font-size: 1.35rem; }
p, li { max-width: 46rem; } .soft, figcaption { color: var(--soft); }
.heads { display: grid; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); gap: 1.25rem;
  margin: 2rem 0; padding: 0; list-style: none; }
.heads li { border-top: 2px solid var(--ours); padding-top: .5rem; }
.heads b { display: block; font-size: 1.6rem; font-weight: 650; line-height: 1.25; }
.heads .than { font-size: .9rem; color: var(--soft); }
figure { margin: 0 0 1.5rem; } figure svg { width: 100%; max-width: 48rem; height: auto; display: block; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .75rem .45rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } td { font-variant-numeric: tabular-nums; } td small { display: block; color: var(--soft); }
td .ratio { color: var(--ours); font-weight: 600; } td .worse { color: var(--worse); font-weight: 600; }
td.ours { font-weight: 600; } dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dt { font-weight: 600; } dd { margin: 0; max-width: 46rem; }
"""


def render(table: Sequence[Row], results: Results, plots: Mapping[str, str]) -> str:
    """The page."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>Slipway, measured</title><style>{STYLE}</style></head><body>",
        "<h1>Slipway, measured</h1>",
        f"<p>What its images cost to build, push, start and run, beside what teams start out with. Measured on "
        f"{date(results)} on one machine by <code>make bench</code>. {escape(spread(table))}</p>",
        _headlines(table),
    ]
    for group, title in GROUPS.items():
        of_group = [row for row in table if row.scenario.group == group]
        if of_group:
            parts.append(f"<h2>{_code(title)}</h2>")
            parts += [
                f"<figure>{_inline(svg, name)}</figure>"
                for name, svg in plots.items()
                if name.partition("-")[0] == group
            ]
            parts.append(_table(of_group))
    parts += [_method(table, results), "</body></html>"]
    return "\n".join(parts) + "\n"


def _headlines(table: Sequence[Row]) -> str:
    items = []
    for scenario, metric, of in HEADLINES:
        row = next((row for row in table if (row.scenario.name, row.metric.name) == (scenario, metric)), None)
        if row is None or OURS not in row.cells:
            continue
        median = summary_shown(row.cells[OURS].summary, row.metric.unit).partition(" (")[0]
        rivals = [one for one in CONTENDERS if one.name in row.cells and one.name != OURS]
        than = "; ".join(
            f"{one.title} {summary_shown(row.cells[one.name].summary, row.metric.unit).partition(' (')[0]}"
            for one in rivals
        )
        items.append(f'<li><b>{escape(median)}</b>{escape(of)}<div class="than">{escape(than)}</div></li>')
    return f'<ul class="heads">{"".join(items)}</ul>' if items else ""


def _table(rows: Sequence[Row]) -> str:
    shown = [one for one in CONTENDERS if any(one.name in row.cells for row in rows)]
    head = "".join(f"<th>{escape(one.title)}</th>" for one in shown)
    lines = [f'<div class="wide"><table><thead><tr><th>what</th>{head}<th>where ours is worse</th></tr></thead><tbody>']
    for row in rows:
        model = "" if row.model == LOCAL else f"<small>{escape(MODELS[row.model])}</small>"
        what = f"{_code(row.scenario.title)}: {escape(row.metric.title)}{model}"
        cells = "".join(_cell(row, one.name) for one in shown)
        why = escape(notes(row)).replace("**not explained**", "<b>not explained</b>")
        lines.append(f"<tr><td>{what}</td>{cells}<td>{why}</td></tr>")
    return "\n".join([*lines, "</tbody></table></div>"])


def _cell(row: Row, contender: str) -> str:
    cell = row.cells.get(contender)
    if cell is None:
        return "<td></td>"
    median, _, spread = summary_shown(cell.summary, row.metric.unit).partition(" (")
    text = escape(median)
    if cell.ratio is not None:
        kind = "worse" if cell.worse else "ratio"
        text += f' <span class="{kind}">{escape(ratio_shown(cell.ratio))}</span>'
    if spread:
        text += f"<small>{escape(spread.rstrip(')'))}</small>"
    return f'<td class="ours">{text}</td>' if contender == OURS else f"<td>{text}</td>"


def _method(table: Sequence[Row], results: Results) -> str:
    left = missing(results)
    scenarios = {row.scenario.title: row.scenario.about for row in table}
    return "\n".join(
        [
            "<h2>How</h2>",
            "<p>A figure is the median of its runs; below it stand the least and the most, where they differ. A ratio "
            "says how many times better Slipway is: x 2.00 is twice as good. All contenders use the same BuildKit, "
            "registry, base image and machine, one after the other; what one left in the builder is gone before the "
            "next.</p>",
            _list({one.title: one.about for one in CONTENDERS}),
            "<h2>What was measured</h2>",
            _list(scenarios),
            *(["<h2>What was not</h2>", _list(dict(left))] if left else []),
            "<h2>Where</h2>",
            _list(results.facts),
        ]
    )


def _list(entries: Mapping[str, str]) -> str:
    items = "".join(f"<dt>{_code(name)}</dt><dd>{_code(text)}</dd>" for name, text in entries.items())
    return f"<dl>{items}</dl>"


def _code(text: str) -> str:
    """Escaped text, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _inline(svg: str, name: str) -> str:
    """An SVG as an element of the page: without its prolog, its ids told apart from the other plots'."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', body)
    return re.sub(r'(url\(|href=")#([^")]+)', rf"\1#{name}-\2", body)
