"""The services share the host's memory, also while a release is under way."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import ROOT, product
from infra.lib.aws_limits import INSTANCE_TYPES
from infra.settings import Settings, SettingsError, load
from infra.settings.memory import MemoryPlan, containers_mib, plan
from tests.infra.conftest import SECRETS, settings_of

Stack = Callable[..., Settings]
AT_REST_MIB = 345
"""Memory of the system, the SSM agent and Docker, without page cache."""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """Load a stack of a product that has other services too, or others of the same name."""
    document = yaml.safe_load((ROOT / "product.yaml").read_text())

    def loaded(services: Mapping[str, Any], instance_type: str = "t2.small") -> Settings:
        document["services"].update(services)
        file = tmp_path / "product.yaml"
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        host = {"slipway:host": f'{{"instanceType": "{instance_type}"}}'}
        return load("slipway", "dev", {**SECRETS, **host}, ROOT, product=product.load(file))

    return loaded


def service(memory_mib: int, **more: Any) -> dict[str, Any]:
    return {"image": "api", "port": 8100, "memory_mib": memory_mib, **more}


def test_the_services_and_a_release_of_all_of_them_fit_into_the_default_host() -> None:
    assert plan(settings_of("dev")) == MemoryPlan(running=592, added=592)
    assert plan(settings_of("dev")).needed == 1634
    assert containers_mib(settings_of("dev")) == 1510


def test_a_database_is_not_started_a_second_time(stack: Stack) -> None:
    with_data = stack({"search": service(256, volume="/var/lib/search")})
    assert plan(with_data) == MemoryPlan(running=592 + 256, added=592)


def test_what_runs_once_has_ended_before_the_new_services_start(stack: Stack) -> None:
    assert plan(stack({"migrate": {"image": "api", "once": True, "memory_mib": 500}})).added == 592
    assert plan(stack({"migrate": {"image": "api", "once": True, "memory_mib": 600}})).added == 600


def test_a_service_that_a_secret_replaces_takes_no_memory(stack: Stack) -> None:
    replaced = stack({"search": service(2000, unless="database-url")})
    assert plan(replaced) == MemoryPlan(running=592, added=592)
    assert "search" not in replaced.services


def test_services_that_do_not_fit_are_refused_with_a_type_that_does(stack: Stack) -> None:
    with pytest.raises(SettingsError) as refused:
        stack({"search": service(200)})
    assert refused.value.problems == (
        'slipway:host.instanceType is "t2.small", which offers 1,960 MiB of memory, but the services need 2,034 (792 '
        "for what runs, 792 for a release beside it, 450 for the system and Docker); set a type with more memory, such "
        "as t2.medium, or lower memory_mib of services in product.yaml.",
    )
    assert plan(stack({"search": service(200)}, "t2.medium")).needed == 2034


def test_services_that_no_type_can_run_are_refused(stack: Stack) -> None:
    with pytest.raises(SettingsError, match=r"Docker\); lower memory_mib of services in product\.yaml\.$"):
        stack({"search": service(8000)})


@pytest.mark.parametrize(("instance_type", "published"), [("t3.small", 1901), ("t3.medium", 3828)])
def test_a_type_with_less_memory_than_assumed_still_has_enough_for_its_system(
    instance_type: str, published: int
) -> None:
    settings = settings_of("dev", {"slipway:host": {"instanceType": instance_type}})
    assert published - containers_mib(settings) >= AT_REST_MIB


def test_linux_offers_less_than_the_type_has() -> None:
    assert {name: INSTANCE_TYPES[name].usable_mib for name in ("t2.small", "t3.medium")} == {
        "t2.small": 1960,
        "t3.medium": 3920,
    }
