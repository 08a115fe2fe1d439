"""The table: each metric of each scenario by contender, with ratios (ours is 1) and a reason for any below 1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.explanations import why
from bench.figures import Summary, ratio, ratio_shown, summary_shown
from bench.plan import BOTH, CONTENDERS, LOCAL, OURS, SCENARIOS, Metric, Scenario
from bench.results import Results

GROUPS: Mapping[str, str] = {
    "size": "Size",
    "build": "Build and push",
    "start": "Start",
    "serve": "The API under load",
    "work": "The worker at work",
    "up": "`pulumi up`",
}
MODELS: Mapping[str, str] = {LOCAL: "MiniLM", BOTH[1]: "BERT-base's shape, random weights"}
AS_GOOD = 0.995
"""A ratio that is written as 1.00 is no worse."""


@dataclass(frozen=True)
class Cell:
    """One contender's figure."""

    summary: Summary
    ratio: float | None
    """How many times better ours is; None for ours itself, and where there is nothing to divide."""
    note: str
    """Why the ratio is below 1; empty where it is not, or where nobody knows."""

    @property
    def worse(self) -> bool:
        """Whether ours is worse."""
        return self.ratio is not None and self.ratio < AS_GOOD


@dataclass(frozen=True)
class Row:
    """One metric of one scenario with one model, by contender."""

    scenario: Scenario
    metric: Metric
    model: str
    cells: Mapping[str, Cell]


def rows(results: Results) -> list[Row]:
    """All that was measured, in the order of the plan."""
    found = []
    for group in GROUPS:
        for scenario in SCENARIOS:
            if scenario.group != group:
                continue
            for model in scenario.models:
                for metric in scenario.metrics:
                    cells = _cells(results, scenario, metric, model)
                    if cells:
                        found.append(Row(scenario, metric, model, cells))
    return found


def _cells(results: Results, scenario: Scenario, metric: Metric, model: str) -> dict[str, Cell]:
    summaries = {}
    for contender in CONTENDERS:
        values = results.values(model, contender.name, scenario.name, metric.name)
        if values:
            summaries[contender.name] = Summary.of(values)
    ours = summaries.get(OURS)
    return {name: _cell(scenario, metric, name, ours, summary) for name, summary in summaries.items()}


def _cell(scenario: Scenario, metric: Metric, contender: str, ours: Summary | None, theirs: Summary) -> Cell:
    if ours is None or contender == OURS:
        return Cell(theirs, None, "")
    better = ratio(metric, ours, theirs)
    note = ""
    if better is not None and better < AS_GOOD:
        if ours.runs > 1 and theirs.runs > 1 and ours.overlaps(theirs):
            note = "no difference beyond the spread of the runs"
        else:
            note = why(scenario.name, metric.name, contender) or ""
    return Cell(theirs, better, note)


def unexplained(table: Sequence[Row]) -> list[str]:
    """The ratios below 1 for which there is no reason, a line each."""
    return [
        f"{row.scenario.title}, {row.metric.title} ({MODELS[row.model]}): {ratio_shown(cell.ratio)} against {contender}"
        for row in table
        for contender, cell in row.cells.items()
        if cell.worse and not cell.note
    ]


def notes(row: Row) -> str:
    """The reasons for a row's ratios below 1, each once, with whom they are about."""
    reasons: dict[str, list[str]] = {}
    for contender, cell in row.cells.items():
        if cell.worse:
            reasons.setdefault(cell.note or "**not explained**", []).append(contender)
    return "; ".join(f"{', '.join(contenders)}: {reason}" for reason, contenders in reasons.items())


def cell_shown(row: Row, contender: str) -> str:
    """A cell's text: the median with its spread, and the ratio."""
    cell = row.cells.get(contender)
    if cell is None:
        return ""
    text = summary_shown(cell.summary, row.metric.unit)
    return f"{text}, {ratio_shown(cell.ratio)}" if cell.ratio is not None else text


def date(results: Results) -> str:
    """The day of the last measurement."""
    return max((record.at for record in results.records), default="").partition("T")[0]


def markdown(table: Sequence[Row], results: Results, plots: Sequence[str]) -> str:
    """The page for a reader of the repository."""
    lines = [
        "# Benchmarks",
        "",
        f"Measured on {date(results)} by `make bench` on one machine, one contender after the other. {spread(table)} "
        "A ratio says how many times better ours is: `x 2.00` is twice as good. "
        "`make bench ARGS=--report` writes the same as a page, docs/benchmarks/index.html, out of "
        "[every measurement](benchmarks/results.json).",
        "",
        *(f"- {name}: {text}" for name, text in results.facts.items()),
        "",
        "Contenders:",
        "",
        *(f"- **{contender.title}** (`{contender.name}`): {contender.about}" for contender in CONTENDERS),
    ]
    for group, title in GROUPS.items():
        of_group = [row for row in table if row.scenario.group == group]
        if not of_group:
            continue
        shown = [one for one in CONTENDERS if any(one.name in row.cells for row in of_group)]
        lines += ["", f"## {title}", ""]
        lines += [f"![{name}](benchmarks/{name}.svg)\n" for name in plots if name.partition("-")[0] == group]
        lines += [f"| what | {' | '.join(one.title for one in shown)} | where ours is worse |"]
        lines += [f"|---|{'---|' * (len(shown) + 1)}"]
        for row in of_group:
            what = f"{row.scenario.title}: {row.metric.title}"
            model = "" if row.model == LOCAL else f" ({MODELS[row.model]})"
            cells = " | ".join(cell_shown(row, one.name) for one in shown)
            lines.append(f"| {what}{model} | {cells} | {notes(row)} |")
        lines += ["", *(f"- {name}: {about}" for name, about in _abouts(of_group))]
    left = missing(results)
    if left:
        lines += ["", "## Not measured", "", *(f"- {title}: {whom}" for title, whom in left)]
    return "\n".join(lines) + "\n"


def spread(table: Sequence[Row]) -> str:
    """How often things were measured, and so what a figure is."""
    runs = {cell.summary.runs for row in table if row.scenario.most_runs != 1 for cell in row.cells.values()}
    if runs <= {1}:
        return "Each figure is that of one run: there is no spread."
    often = f"{min(runs)} to {max(runs)}" if len(runs) > 1 else str(max(runs))
    return f"Medians, with the least and the most in brackets, of {often} runs; sizes were taken once."


def missing(results: Results) -> list[tuple[str, str]]:
    """What the plan has and the results have not: a scenario's title, and of whom and with which model."""
    done = {(step.model, step.contender, step.scenario) for step in results.done}
    found = []
    for scenario in SCENARIOS:
        whom = [
            f"{MODELS[model]} ({', '.join(left)})"
            for model in scenario.models
            if (left := [name for name in scenario.contenders if (model, name, scenario.name) not in done])
        ]
        if whom:
            found.append((scenario.title, "; ".join(whom)))
    return found


def _abouts(table: Sequence[Row]) -> list[tuple[str, str]]:
    """What each scenario of some rows is."""
    return list({row.scenario.title: row.scenario.about for row in table}.items())
