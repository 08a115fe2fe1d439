"""Read what is measured of whom (scenarios.yaml, explanations.yaml), and plan the steps that follow from it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from devcloud.util.console import UserError

Unit = Literal["s", "B", "MiB", "1/s", "ms"]
Measure = Literal["cold", "size", "build", "start_service", "start_worker", "read", "write", "jobs", "up"]

OURS, MONOLITH, TWO_TIER, BAKE = "ours", "monolith", "two-tier", "bake"
LOCAL = "local"
"""The model of the local stack. The pages name only the others."""

Item = TypeVar("Item")
Named = Annotated[
    tuple[Item, ...], BeforeValidator(lambda entries: [{"name": name, **entry} for name, entry in entries.items()])
]
"""Entries of a YAML map, each with its key as its name."""


class Part(BaseModel):
    """A part of the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Contender(Part):
    """One way to build and run the product."""

    name: str
    title: str
    colour: str
    about: str


class Model(Part):
    """A model that the worker is measured with."""

    name: str
    title: str
    use: Mapping[str, str] | None = None
    """Its entry of the setting `images.models`; None for the stack's own."""


class Metric(Part):
    """One figure of a scenario."""

    name: str
    title: str
    unit: Unit
    more_is_better: bool = False


class Change(Part):
    """A change of a checkout. `{run}` stands for the number of the run, so that each run changes something else."""

    append: Mapping[str, str] = {}
    """A line to append, by file."""
    add_files: Mapping[str, int] = {}
    """The number of new files, by folder."""
    require: tuple[str, ...] = ()
    """Locks that get one more package, as patterns."""
    next_version: str | None = None
    """A file whose version is raised."""
    system_package: tuple[str, ...] = ()
    """Dockerfiles whose last stage gets one more Debian package."""
    rename_model: bool = False
    use_model: Mapping[str, str] | None = None


class Scenario(Part):
    """One thing that is measured, the same for each contender."""

    name: str
    group: str
    title: str
    about: str
    measure: Measure
    metrics: Named[Metric]
    contenders: tuple[str, ...]
    models: tuple[str, ...]
    most_runs: int | None = None
    """For what a repetition cannot change, such as a size."""
    change: Change = Change()
    empty_builder: bool = False
    """Whether the builder is emptied before the change."""
    jobs: int = 0
    within_seconds: float = 0


class Group(Part):
    """Scenarios that share a table; they inherit what they do not say themselves."""

    name: str
    title: str
    scenarios: Named[Scenario]

    @model_validator(mode="before")
    @classmethod
    def _hand_down(cls, entry: dict[str, Any]) -> dict[str, Any]:
        own = {key: entry.pop(key) for key in ("name", "title", "scenarios")}
        scenarios = {name: {"group": own["name"], **entry, **one} for name, one in own["scenarios"].items()}
        return {**own, "scenarios": scenarios}


class Chart(Part):
    """Bars of some metrics of a group, by contender."""

    name: str
    title: str
    metrics: tuple[str, ...]
    logarithmic: bool = False
    models: tuple[str, ...] | None = None
    """None for all."""

    @property
    def group(self) -> str:
        """The group that it is about."""
        return self.name.partition("-")[0]


class Headline(Part):
    """A figure at the top of the page."""

    scenario: str
    metric: str
    about: str


class Limits(Part):
    """The memory and CPU of a container."""

    memory_mib: int
    cpus: float


class Explanation(Part):
    """Why ours is worse, for a metric of some scenarios against some contenders; empty means any."""

    reason: str
    scenarios: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    contenders: tuple[str, ...] = ()

    def holds(self, scenario: str, metric: str, contender: str) -> bool:
        """Return whether it is about this ratio."""
        asked = ((scenario, self.scenarios), (metric, self.metrics), (contender, self.contenders))
        return all(not names or name in names for name, names in asked)


class Plan(Part):
    """All of scenarios.yaml, with the explanations."""

    contenders: Named[Contender]
    models: Named[Model]
    session: tuple[str, ...]
    """Groups and scenarios in the order in which one contender's are measured."""
    groups: Named[Group]
    charts: Named[Chart]
    headlines: tuple[Headline, ...]
    added_requirements: Mapping[str, str]
    """The packages that `require` adds: the SHA-256 of the wheel, by requirement."""
    added_system_packages: tuple[str, ...]
    service: str
    """The service of product.yaml that is started and put under load."""
    service_limits: Limits
    worker_limits: Limits
    explanations: tuple[Explanation, ...]

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """The scenarios of all groups."""
        return tuple(scenario for group in self.groups for scenario in group.scenarios)

    def scenario(self, name: str) -> Scenario:
        """Return a scenario by its name."""
        return next(scenario for scenario in self.scenarios if scenario.name == name)

    def model(self, name: str) -> Model:
        """Return a model by its name."""
        return next(model for model in self.models if model.name == name)

    def why(self, scenario: str, metric: str, contender: str) -> str | None:
        """Return the reason for a ratio below 1; None if nobody gave one."""
        return next((one.reason for one in self.explanations if one.holds(scenario, metric, contender)), None)


def load(folder: Path = Path(__file__).parent) -> Plan:
    """Return the plan that a folder describes."""
    scenarios, explanations = (
        yaml.safe_load((folder / name).read_text()) for name in ("scenarios.yaml", "explanations.yaml")
    )
    return Plan.model_validate({**scenarios, "explanations": explanations})


PLAN = load()


@dataclass(frozen=True)
class Step:
    """One measurement: a scenario, of a contender, with a model, for the nth time (from 1)."""

    model: str
    contender: str
    scenario: str
    run: int

    def __str__(self) -> str:
        return f"{self.scenario} of {self.contender} with {self.model}, run {self.run}"


def steps(runs: int, only: Sequence[str] = (), done: Collection[Step] = ()) -> Iterator[Step]:
    """Yield the measurements still to be made, in the order in which they cost least.

    `only` holds names of scenarios, groups, contenders and models: of each kind that is named, only those are
    measured. Raise UserError for a name that is none of these.
    """
    wanted = _wanted(only)
    for model in PLAN.models:
        for contender in PLAN.contenders:
            for one in sorted(PLAN.scenarios, key=_place):
                if model.name not in one.models or contender.name not in one.contenders:
                    continue
                if not all(names & {one.name, one.group, contender.name, model.name} for names in wanted):
                    continue
                for run in range(1, min(runs, one.most_runs or runs) + 1):
                    step = Step(model.name, contender.name, one.name, run)
                    if step not in done:
                        yield step


def _place(one: Scenario) -> int:
    return PLAN.session.index(one.name if one.name in PLAN.session else one.group)


def _wanted(only: Sequence[str]) -> list[set[str]]:
    """Return the names by kind; a step must match one of each kind."""
    kinds = (
        {name for one in PLAN.scenarios for name in (one.name, one.group)},
        {contender.name for contender in PLAN.contenders},
        {model.name for model in PLAN.models},
    )
    for name in only:
        if not any(name in kind for kind in kinds):
            known = "; ".join(", ".join(sorted(kind)) for kind in kinds)
            raise UserError(f"ONLY={name!r} is nothing that the bench knows; it knows {known}.")
    return [kind.intersection(only) for kind in kinds if kind.intersection(only)]
