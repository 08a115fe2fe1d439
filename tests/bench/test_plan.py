"""The plan of the bench: measurements, contenders, their order, and ONLY=."""

import pytest

from bench import changes
from bench.plan import ALL, BOTH, CONTENDERS, LOCAL, OURS, RANDOM, SCENARIOS, Step, steps
from bench.report import GROUPS
from bench.session import MEASURES
from devcloud.util.console import UserError


def test_every_scenario_knows_its_contenders_models_and_group() -> None:
    names = {contender.name for contender in CONTENDERS}
    assert set(ALL) == names
    for scenario in SCENARIOS:
        assert set(scenario.contenders) <= names
        assert OURS in scenario.contenders
        assert set(scenario.models) <= set(BOTH)
        assert scenario.group in GROUPS


def test_every_scenario_has_its_name_once_and_so_has_each_metric() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    for scenario in SCENARIOS:
        assert len({metric.name for metric in scenario.metrics}) == len(scenario.metrics)


def test_every_scenario_is_measured_or_changes_something() -> None:
    changing_nothing = {"nothing", "up-nothing"}
    for scenario in SCENARIOS:
        ways = (scenario.name in MEASURES, scenario.name in changes.CHANGES, scenario.name in changing_nothing)
        assert sum(ways) == 1, scenario.name


def test_everything_that_the_issue_asks_for_is_a_scenario() -> None:
    names = {scenario.name for scenario in SCENARIOS}
    assert {"cold", "nothing", "code-api", "many", "requirement-api", "argument", "model", "base", "system"} <= names
    assert {"size", "empty", "start-api", "start-worker", "read", "jobs"} <= names


def test_a_contender_is_measured_from_cold_to_the_empty_builder() -> None:
    planned = [step for step in steps(1) if (step.model, step.contender) == (LOCAL, OURS)]
    assert planned[0].scenario == "cold"
    assert planned[-1].scenario == "empty"
    assert [step.contender for step in steps(1, ["cold"])][:4] == ["ours", "monolith", "two-tier", "bake"]


def test_a_size_is_measured_once_and_a_build_as_often_as_asked() -> None:
    planned = list(steps(3, [OURS, LOCAL]))
    assert sum(step.scenario == "size" for step in planned) == 1
    assert [step.run for step in planned if step.scenario == "cold"] == [1, 2, 3]


def test_what_is_measured_already_is_not_measured_again() -> None:
    done = {Step(LOCAL, OURS, "cold", 1)}
    assert [step.run for step in steps(2, ["cold", OURS, LOCAL], done)] == [2]


def test_names_of_one_kind_add_up_and_kinds_narrow_down() -> None:
    found = {(step.scenario, step.contender, step.model) for step in steps(1, ["cold", "nothing", "ours", RANDOM])}
    assert found == {("cold", OURS, RANDOM), ("nothing", OURS, RANDOM)}
    assert {step.scenario for step in steps(1, ["start"])} == {"start-api", "start-worker"}


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(
        UserError, match=r"ONLY='cool' is nothing that the bench knows.*cold.*monolith.*bert-base-random"
    ):
        list(steps(1, ["cool"]))


def test_the_model_of_random_weights_says_so_in_its_name() -> None:
    assert "random" in RANDOM
