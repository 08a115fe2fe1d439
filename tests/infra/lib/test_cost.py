"""The monthly bill of a stack."""

from typing import Any

import pytest

from infra.lib.aws_limits import INSTANCE_TYPES
from infra.lib.cost import estimate, snapshots_gib, total


def bill(**changes: Any) -> dict[str, float]:
    given: dict[str, Any] = {
        "instance_type": "t2.small",
        "volumes_gib": 40,
        "snapshots_gib": 26,
        "worker_cpu": 512,
        "worker_memory_mib": 3072,
        "worker_tasks": 1,
        "ecr_gb": 4,
        "logs_gb": 1,
        "alarms": 10,
        "metrics": 6,
        "dashboards": 1,
    }
    return estimate(**(given | changes))


def test_the_always_on_spot_worker_costs_seven_to_ten_dollars() -> None:
    assert 7 <= bill()["worker"] <= 10


def test_the_parts_are_what_a_calculator_says() -> None:
    assert bill() == {
        "api host": 16.79,  # 730 h x 0.023
        "worker": 8.58,  # (0.5 x 0.04048 + 3 x 0.004445) x 0.35 x 730 h
        "public IPv4": 7.30,  # 2 x 730 h x 0.005
        "volumes": 3.20,  # 40 x 0.08
        "snapshots": 1.30,  # 26 x 0.05
        "registry": 0.40,  # 4 x 0.10
        "logs": 0.50,  # 1 x 0.50
        "alarms": 1.00,  # 10 x 0.10
        "metrics": 2.24,  # 6 x 0.30, and 730 x 60 calls x 0.01 / 1000
        "dashboard": 3.00,
    }


def test_the_total_is_the_sum_of_the_parts() -> None:
    assert total(bill()) == 44.31


@pytest.mark.parametrize(("kept", "gib"), [(0, 0), (1, 20), (7, 26)])
def test_snapshots_take_the_volume_once_and_a_twentieth_of_it_for_each_day(kept: int, gib: float) -> None:
    assert snapshots_gib(20, kept) == pytest.approx(gib)


def test_a_stack_without_a_task_pays_for_no_worker_and_for_one_address() -> None:
    parts = bill(worker_tasks=0)
    assert (parts["worker"], parts["public IPv4"]) == (0, 3.65)


def test_three_tasks_cost_three_times_as_much_as_one() -> None:
    assert bill(worker_tasks=3)["worker"] == pytest.approx(3 * bill()["worker"], abs=0.02)


@pytest.mark.parametrize("instance_type", INSTANCE_TYPES)
def test_every_instance_type_has_a_price_and_the_two_gigabytes_that_the_host_needs(
    instance_type: str,
) -> None:
    assert INSTANCE_TYPES[instance_type].memory_mib >= 2048
    assert bill(instance_type=instance_type)["api host"] > 10
