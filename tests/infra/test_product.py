"""product.yaml, and the sentence that each mistake in it gets."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import ROOT
from infra.product import Product, ProductError, environment_variable, load
from tests.infra.conftest import PRODUCT

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Change], Product]:
    """Load the product after a change of its file."""
    document = yaml.safe_load((ROOT / "product.yaml").read_text())

    def load_changed(change: Change) -> Product:
        data = copy.deepcopy(document)
        change(data)
        file = tmp_path / "product.yaml"
        file.write_text(yaml.safe_dump(data, sort_keys=False))
        return load(file)

    return load_changed


def test_an_image_comes_after_the_one_that_it_is_built_from() -> None:
    order = PRODUCT.build_order
    assert order.index("base") < order.index("worker")


def test_a_service_comes_after_those_that_it_waits_for() -> None:
    assert PRODUCT.start_order == ("postgres", "redis", "migrate", "auth", "api", "dashboard", "caddy")


def test_an_image_sees_its_own_files_and_the_code_of_what_runs_from_it() -> None:
    assert set(PRODUCT.context("worker")) == {
        "images/worker/**",
        "app/__init__.py",
        "app/common/**",
        "app/worker/**",
    }
    assert "app/chat/**" in PRODUCT.context("api")
    assert PRODUCT.context("base") == ("images/base/**",)
    assert not [path for path in PRODUCT.context("web") if path.startswith("app/c")]


def test_a_name_is_spelled_as_environment_variables_are() -> None:
    assert environment_variable("database-url") == "DATABASE_URL"


def test_one_more_service_is_one_entry(changed: Callable[[Change], Product]) -> None:
    def add(data: dict[str, Any]) -> None:
        data["services"]["reports"] = {
            "image": "api",
            "port": 8003,
            "memory_mib": 64,
            "route": {"path": "/reports"},
            "after": {"migrate": "completed"},
        }

    product = changed(add)
    assert "reports" in product.start_order
    assert "app/reports/**" in product.context("api")


def test_a_service_is_ready_and_well_where_it_says() -> None:
    dashboard = PRODUCT.services["dashboard"]
    assert (dashboard.ready, dashboard.health) == ("/ready", "/dashboard/health")
    assert [(probe.path, probe.status) for probe in PRODUCT.services["api"].probes] == [("/labs", (401,))]
    assert [(probe.path, probe.status) for probe in PRODUCT.services["caddy"].probes] == [("/", (200,))]


BAD: dict[str, tuple[Change, str]] = {
    "an unknown key": (
        lambda data: data["services"]["api"].update(prot=8000),
        "services.api.prot is 8000, but there is no such setting; did you mean product.yaml: services.api.port?",
    ),
    "a wrong type": (
        lambda data: data["services"]["api"].update(port="8000"),
        'services.api.port is "8000"; it must be a whole number from 1024 to 65535.',
    ),
    "an unknown image": (
        lambda data: data["services"]["api"].update(image="apy"),
        'services.api.image names "apy", but there is no such entry; there are base, worker, api, web.',
    ),
    "an unknown secret": (
        lambda data: data["services"]["api"].update(secrets=["sentry-dsn"]),
        'services.api.secrets names "sentry-dsn", but there is no such entry; there are database-url,',
    ),
    "an unknown upstream": (
        lambda data: data["images"]["api"].update(upstream=["ruby"]),
        'images.api.upstream names "ruby", but there is no such entry; there are python, node, caddy, postgres, redis.',
    ),
    "a service that waits for nobody": (
        lambda data: data["services"]["api"].update(after={"queue": "healthy"}),
        'services.api.after names "queue", but there is no such entry;',
    ),
    "services that wait for each other": (
        lambda data: data["services"]["migrate"].update(after={"api": "healthy"}),
        "services wait for each other (",
    ),
    "an image that is built from itself": (
        lambda data: data["images"]["base"].update(base="worker"),
        "images wait for each other (",
    ),
    "a port twice": (
        lambda data: data["services"]["api"].update(port=8001),
        "services has the port 8001 twice; each must have its own.",
    ),
    "a route twice": (
        lambda data: data["services"]["api"].update(route={"path": "/auth"}),
        "services has the route /auth twice; each must have its own.",
    ),
    "two edges": (
        lambda data: data["services"].update(other={**data["services"]["caddy"], "port": 8081}),
        "services has two with edge: true; there must be one at most.",
    ),
    "neither image nor external": (
        lambda data: data["services"]["api"].pop("image"),
        "services.api.image is not set; it must be set, or else external, but not both.",
    ),
    "an address without its password": (
        lambda data: data["secrets"]["database-url"]["hosted"].update(address="postgresql://slipway@{host}:{port}/x"),
        'secrets.database-url.hosted.address is "postgresql://...@{host}:{port}/x"; it must be an address with {host}, '
        "{password}, {port}, and no other braces.",
    ),
    "a hosted service that has no state": (
        lambda data: data["secrets"]["redis-url"]["hosted"].update(service="api"),
        'secrets.redis-url.hosted.service names "api", which must be external or have a volume, and have a port and '
        "unless: redis-url.",
    ),
    "an unknown password": (
        lambda data: data["secrets"]["database-url"]["hosted"].update(password="other"),
        'secrets.database-url.hosted.password names "other", but there is no such entry;',
    ),
    "a check of what answers HTTP": (
        lambda data: data["services"]["api"].update(check=["true"]),
        'services.api.check is ["true"]; it must be left out of what runs once or answers HTTP, which has ready and '
        "probes.",
    ),
    "a route of the edge": (
        lambda data: data["services"]["caddy"].update(route={"path": "/edge"}),
        'services.caddy.route is {"path": "/edge"}; it must be left out of the edge, which routes to the others.',
    ),
    "a backup without a volume": (
        lambda data: data["services"]["redis"].update(backup={"dump": ["a"], "restore": ["b"]}),
        'services.redis.backup is {"dump": ["a"], "restore": ["b"]}; it must be left out of what has no volume or runs '
        "once.",
    ),
    "a backup that cannot be restored": (
        lambda data: data["services"]["postgres"].update(backup={"dump": ["a"]}),
        "services.postgres.backup.restore",
    ),
    "a variable of another's secret": (
        lambda data: data["services"]["redis"].update(secret_variables={"database-url": "URL"}),
        'services.redis.secret_variables is {"database-url": "URL"}; it must be variables of its own secrets, but '
        "database-url is none of them.",
    ),
    "a one-shot that serves": (
        lambda data: data["services"]["migrate"].update(port=8009),
        "services.migrate.once is true; it must be left out of what serves",
    ),
    "a probe without a path": (
        lambda data: data["services"]["api"].update(probes=[{"status": [200]}]),
        "services.api.probes[0].path is not set; it must be a path without a query, such as /labs.",
    ),
    "a probe with an impossible status": (
        lambda data: data["services"]["api"].update(probes=[{"path": "/labs", "status": [42]}]),
        "services.api.probes[0].status[0] is 42; it must be a whole number from 200 to 599.",
    ),
    "a probe of what serves nothing": (
        lambda data: data["services"]["migrate"].update(probes=[{"path": "/"}]),
        "services.migrate.once is true; it must be left out of what serves",
    ),
    "a service whose role would have too long a name": (
        lambda data: data["services"].update({"a-service-of-18-ch": data["services"]["auth"]}),
        "services.a-service-of-18-ch is ",
    ),
    "a server without memory": (
        lambda data: data["services"]["api"].pop("memory_mib"),
        "services.api.memory_mib is not set; it must be a whole number of MiB for what keeps running.",
    ),
    "jobs without a worker": (
        lambda data: data.pop("worker"),
        "services.api.permissions has one for jobs, but there is no worker to do them; leave it out.",
    ),
    "no images": (lambda data: data.pop("images"), "images is not set; it must be"),
}


@pytest.mark.parametrize("mistake", BAD)
def test_a_mistake_gets_one_sentence_with_place_value_and_remedy(
    changed: Callable[[Change], Product], mistake: str
) -> None:
    change, sentence = BAD[mistake]
    with pytest.raises(ProductError) as refused:
        changed(change)
    assert any(problem.startswith(f"product.yaml: {sentence}") for problem in refused.value.problems), refused.value


def test_a_file_that_is_no_yaml_gets_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "product.yaml"
    file.write_text("images: {}\nimages: {}\n")
    with pytest.raises(ProductError, match=r"product\.yaml is not YAML \(line 1: images is given twice\)"):
        load(file)
