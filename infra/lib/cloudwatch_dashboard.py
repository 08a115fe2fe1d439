"""The body of a CloudWatch dashboard, as canonical JSON: alarms above, graphs below, the last errors at the end.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.lib.canonical_json import canonical_json

COLUMNS = 24
"""The width of a dashboard."""
WIDTH, HEIGHT, ALARMS_HEIGHT = 8, 6, 4


@dataclass(frozen=True)
class Line:
    """A metric in a graph."""

    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    statistic: str

    def to_json(self) -> list[object]:
        """Return the metric as a widget names it."""
        dimensions = [part for pair in sorted(self.dimensions.items()) for part in pair]
        return [self.namespace, self.metric, *dimensions, {"stat": self.statistic}]


@dataclass(frozen=True)
class Graph:
    """A widget with metrics over time."""

    title: str
    lines: Sequence[Line]
    period_seconds: int = 60


def body(*, region: str, alarm_arns: Sequence[str], graphs: Sequence[Graph], errors_of: str) -> str:
    """Return the body; `errors_of` is the log group whose last server errors are listed."""
    states = {
        "type": "alarm",
        **_place(0, 0, COLUMNS, ALARMS_HEIGHT),
        "properties": {"title": "Alarms", "alarms": list(alarm_arns)},
    }
    in_a_row = COLUMNS // WIDTH
    widgets = [
        {
            "type": "metric",
            **_place(number % in_a_row * WIDTH, ALARMS_HEIGHT + number // in_a_row * HEIGHT, WIDTH, HEIGHT),
            "properties": {
                "title": graph.title,
                "metrics": [line.to_json() for line in graph.lines],
                "period": graph.period_seconds,
                "region": region,
                "view": "timeSeries",
            },
        }
        for number, graph in enumerate(graphs)
    ]
    query = f"SOURCE '{errors_of}' | fields @timestamp, @logStream, @message | filter status >= 500"
    errors = {
        "type": "log",
        **_place(0, ALARMS_HEIGHT + -(-len(graphs) // in_a_row) * HEIGHT, COLUMNS, HEIGHT),
        "properties": {
            "title": "Requests that failed",
            "query": f"{query} | sort @timestamp desc | limit 20",
            "region": region,
            "view": "table",
        },
    }
    return canonical_json({"widgets": [states, *widgets, errors]})


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "width": width, "height": height}
