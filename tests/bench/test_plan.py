"""The plan of the bench: measurements, contenders, their order, and ONLY=."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bench import plan
from bench.builds import REQUESTS
from bench.plan import BAKE, LOCAL, OURS, PLAN, Change, Step, steps
from bench.roles import images_not_run, service_image, worker_image
from devcloud.bootstrap import ROOT
from devcloud.util.console import UserError
from infra.product import product_of

RANDOM = PLAN.models[1].name


def test_every_contender_is_built_by_code() -> None:
    assert {contender.name for contender in PLAN.contenders} == {*REQUESTS, BAKE}


def test_every_scenario_knows_its_contenders_and_models() -> None:
    contenders = {contender.name for contender in PLAN.contenders}
    models = {model.name for model in PLAN.models}
    for scenario in PLAN.scenarios:
        assert OURS in scenario.contenders
        assert set(scenario.contenders) <= contenders
        assert set(scenario.models) <= models


def test_every_scenario_has_its_name_once() -> None:
    names = [scenario.name for scenario in PLAN.scenarios]
    assert len(set(names)) == len(names)
    assert {*PLAN.session} <= {*names, *(group.name for group in PLAN.groups)}


def test_a_scenario_inherits_from_its_group_what_it_does_not_say() -> None:
    cold, code = PLAN.scenario("cold"), PLAN.scenario("code-api")
    assert (cold.measure, code.measure) == ("cold", "build")
    assert cold.metrics == code.metrics
    assert PLAN.scenario("many").models == (LOCAL,)


def test_only_builds_and_ups_change_something() -> None:
    for scenario in PLAN.scenarios:
        changes = scenario.change != Change()
        assert changes == (scenario.measure in ("build", "up") and not scenario.name.endswith("nothing"))
        assert (scenario.jobs > 0) == (scenario.within_seconds > 0) == (scenario.measure == "jobs")


def test_charts_headlines_and_explanations_are_about_scenarios() -> None:
    scenarios = {scenario.name: {metric.name for metric in scenario.metrics} for scenario in PLAN.scenarios}
    groups = {group.name: {metric.name for metric in group.scenarios[0].metrics} for group in PLAN.groups}
    for chart in PLAN.charts:
        assert set(chart.metrics) <= groups[chart.group]
    for headline in PLAN.headlines:
        assert headline.metric in scenarios[headline.scenario]
    known = {contender.name for contender in PLAN.contenders}
    for explanation in PLAN.explanations:
        assert set(explanation.scenarios) <= set(scenarios)
        assert set(explanation.contenders) <= known


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    for name in ("scenarios.yaml", "explanations.yaml"):
        (tmp_path / name).write_text((ROOT / "bench" / name).read_text())
    assert plan.load(tmp_path) == PLAN
    with (tmp_path / "explanations.yaml").open("a") as file:
        file.write("- {reason: because, metric: [seconds]}\n")
    with pytest.raises(ValidationError, match="metric"):
        plan.load(tmp_path)


def test_the_images_that_are_measured_come_from_product_yaml() -> None:
    product = product_of()
    assert service_image() == product.services[PLAN.service].image
    assert product.worker is not None
    assert worker_image() == product.worker.image
    assert images_not_run() == {product.versioned_image}


def test_everything_that_the_issue_asks_for_is_a_scenario() -> None:
    names = {scenario.name for scenario in PLAN.scenarios}
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
