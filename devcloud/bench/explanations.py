"""Why ours is worse, where it is: each ratio below 1 that is more than the spread of the runs needs a reason here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """A reason, for a metric of some scenarios against some contenders; empty means any."""

    reason: str
    scenarios: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    contenders: tuple[str, ...] = ()

    def holds(self, scenario: str, metric: str, contender: str) -> bool:
        """Whether it is about this ratio."""
        return (
            (not self.scenarios or scenario in self.scenarios)
            and (not self.metrics or metric in self.metrics)
            and (not self.contenders or contender in self.contenders)
        )


EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        "There is no registry cache to push to: the next empty builder starts from nothing (row `from an empty "
        "builder`).",
        metrics=("cache_pushed",),
        contenders=("monolith",),
    ),
)


def why(scenario: str, metric: str, contender: str) -> str | None:
    """The reason for a ratio below 1; None where nobody gave one."""
    return next((one.reason for one in EXPLANATIONS if one.holds(scenario, metric, contender)), None)
