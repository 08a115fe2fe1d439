"""Databases on the host: which secrets a stack sets, and the addresses that the program composes."""

import json
from typing import Any

import pytest

from infra import ROOT
from infra.product import product_of
from infra.settings import Settings, SettingsError, hosted, load
from infra.settings.loading import UPSTREAM
from tests.infra.conftest import HOSTED, SECRETS, settings_of


def problems(values: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        settings_of("dev", values)
    return tuple(refused.value.problems)


@pytest.fixture
def settings() -> Settings:
    """Return the settings of a stack that sets no address."""
    return settings_of("dev", HOSTED)


def test_without_an_address_the_host_runs_the_database(settings: Settings) -> None:
    assert {"postgres", "redis"} <= settings.services.keys()
    assert not {"postgres", "redis"} & settings_of("dev").services.keys()


def test_the_hosts_services_reach_it_by_name_and_the_worker_at_the_hosts_address(settings: Settings) -> None:
    found = hosted.parameters(settings)
    assert found["database-url"] == "postgresql://slipway:hush-hush%25hush@postgres:5432/slipway"
    assert found["worker/database-url"] == "postgresql://slipway:hush-hush%25hush@10.20.0.11:5432/slipway"
    assert found["redis-url"] == "redis://redis:6379/0"
    assert found["database-password"] == "hush-hush%hush"
    assert hosted.worker_parameter(settings, "database-url") == "worker/database-url"
    assert hosted.worker_services(settings) == {"postgres": 5432}


def test_a_managed_database_is_reached_by_its_address_from_everywhere() -> None:
    settings = settings_of("dev")
    assert hosted.parameters(settings).keys() == {"database-url", "redis-url", "openai-api-key"}
    assert hosted.worker_parameter(settings, "database-url") == "database-url"
    assert hosted.worker_services(settings) == {}


def test_one_database_may_be_managed_and_the_other_not() -> None:
    assert "redis" in settings_of("dev", {"slipway:redisUrl": None}).services
    assert settings_of("dev", {**HOSTED, "slipway:redisUrl": "redis://cache"}).services.keys() & {
        "postgres",
        "redis",
    } == {"postgres"}


def test_without_an_address_the_password_is_required() -> None:
    assert problems({**HOSTED, "slipway:databasePassword": None}) == (
        "slipway:databasePassword is not set; set it with `pulumi config set --secret slipway:databasePassword --stack "
        "dev` for a postgres on the host, or set slipway:databaseUrl for one elsewhere.",
    )


def test_a_password_beside_an_address_is_refused() -> None:
    assert problems({"slipway:databasePassword": "hush-hush-hush"}) == (
        "slipway:databasePassword is set, and slipway:databaseUrl too; it must be left out, since with an address the "
        "host runs no postgres.",
    )


@pytest.mark.parametrize("password", ["short", "with a blank in it", "{{resolve:ssm}}"])
def test_a_wrong_password_is_refused_and_never_shown(password: str) -> None:
    (sentence,) = problems({**HOSTED, "slipway:databasePassword": password})
    assert sentence.startswith("slipway:databasePassword (a secret, not shown) is not right; it must be ")
    assert password not in sentence


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        (set(), {"slipway:databasePassword", "slipway:openaiApiKey"}),
        ({"slipway:databaseUrl"}, {"slipway:openaiApiKey"}),
        ({"slipway:databasePassword", "slipway:openaiApiKey"}, set()),
    ],
)
def test_a_stack_needs_no_more_than_the_password_of_what_the_host_runs(given: set[str], needed: set[str]) -> None:
    assert hosted.needed(product_of(), "slipway", given) == needed


REDIS = f"127.0.0.1:5000/library/redis:7@sha256:{'a' * 64}"


def loaded(text: str, images: str = "{}") -> Settings:
    """Return the settings of a stack whose environment names images."""
    values = {key: value for key, value in SECRETS.items() if key != "slipway:redisUrl"} | {"slipway:images": images}
    return load("slipway", "dev", values, ROOT, environment={UPSTREAM: text})


def test_an_image_of_the_environment_takes_the_place_of_the_products() -> None:
    assert loaded(json.dumps({"redis": REDIS})).images.parents["redis"] == REDIS
    assert loaded("{}").images.parents["redis"] != REDIS


def test_a_stacks_own_image_comes_before_that_of_the_environment() -> None:
    own = REDIS.replace("a" * 64, "b" * 64)
    images = json.dumps({"parents": {"redis": own}})
    assert loaded(json.dumps({"redis": REDIS}), images).images.parents["redis"] == own


@pytest.mark.parametrize("text", ["[]", "redis", '{"redis"'])
def test_an_environment_without_an_object_is_a_sentence(text: str) -> None:
    with pytest.raises(SettingsError, match=r"SLIPWAY_UPSTREAM is .* it must be a JSON object of images by name"):
        loaded(text)
