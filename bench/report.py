"""Compare the contenders: each metric of each scenario, with ratios (ours is 1) and a reason for any below 1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.figures import Summary, ratio, ratio_shown
from bench.plan import OURS, PLAN, Metric, Scenario
from bench.results import Results

AS_GOOD = 0.995
"""A ratio that is written as 1.00 is no worse."""


@dataclass(frozen=True)
class Cell:
    """One contender's figure."""

    summary: Summary
    ratio: float | None
    """How many times better ours is; None for ours itself, and if there is nothing to divide."""
    note: str
    """Why the ratio is below 1; empty if it is not, or if nobody knows."""

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
    """Return all that was measured, in the order of the plan."""
    return [
        Row(scenario, metric, model, cells)
        for scenario in PLAN.scenarios
        for model in scenario.models
        for metric in scenario.metrics
        if (cells := _cells(results, scenario, metric, model))
    ]


def _cells(results: Results, scenario: Scenario, metric: Metric, model: str) -> dict[str, Cell]:
    summaries = {
        contender.name: Summary.of(values)
        for contender in PLAN.contenders
        if (values := results.values(model, contender.name, scenario.name, metric.name))
    }
    ours = summaries.get(OURS)
    return {name: _cell(scenario, metric, name, ours, summary) for name, summary in summaries.items()}


def _cell(scenario: Scenario, metric: Metric, contender: str, ours: Summary | None, theirs: Summary) -> Cell:
    if ours is None or contender == OURS:
        return Cell(theirs, None, "")
    better = ratio(metric, ours, theirs)
    if better is None or better >= AS_GOOD:
        return Cell(theirs, better, "")
    if ours.runs > 1 and theirs.runs > 1 and ours.overlaps(theirs):
        return Cell(theirs, better, "no difference beyond the spread of the runs")
    return Cell(theirs, better, PLAN.why(scenario.name, metric.name, contender) or "")


def unexplained(table: Sequence[Row]) -> list[str]:
    """Return the ratios below 1 for which there is no reason, a line each."""
    return [
        f"{row.scenario.title}, {row.metric.title} ({PLAN.model(row.model).title}): {ratio_shown(cell.ratio)} "
        f"against {contender}"
        for row in table
        for contender, cell in row.cells.items()
        if cell.worse and not cell.note
    ]


def notes(row: Row) -> str:
    """Return the reasons for a row's ratios below 1, each once, with whom they are about."""
    reasons: dict[str, list[str]] = {}
    for contender, cell in row.cells.items():
        if cell.worse:
            reasons.setdefault(cell.note or "**not explained**", []).append(contender)
    return "; ".join(f"{', '.join(contenders)}: {reason}" for reason, contenders in reasons.items())


def date(results: Results) -> str:
    """Return the day of the last measurement."""
    return max((record.at for record in results.records), default="").partition("T")[0]


def spread(table: Sequence[Row]) -> str:
    """Return how often things were measured, and so what a figure is."""
    runs = {cell.summary.runs for row in table if row.scenario.most_runs != 1 for cell in row.cells.values()}
    if runs <= {1}:
        return "Each figure is that of one run: there is no spread."
    often = f"{min(runs)} to {max(runs)}" if len(runs) > 1 else str(max(runs))
    return f"Medians, with the least and the most in brackets, of {often} runs; sizes were taken once."


def missing(results: Results) -> dict[str, str]:
    """Return what the plan has and the results have not: by a scenario's title, of whom and with which model."""
    done = {(step.model, step.contender, step.scenario) for step in results.done}
    found = {}
    for scenario in PLAN.scenarios:
        whom = [
            f"{PLAN.model(model).title} ({', '.join(left)})"
            for model in scenario.models
            if (left := [name for name in scenario.contenders if (model, name, scenario.name) not in done])
        ]
        if whom:
            found[scenario.title] = "; ".join(whom)
    return found
