"""Services of the release as containers: what each is given, and what is published."""

from pathlib import Path
from typing import Any

import pytest

from devcloud.cloud.cloud import Cloud, Ports
from devcloud.verify.containers import EDGE, PORTS, Workloads
from devcloud.verify.smoke_test import MIGRATE
from infra.program import SERVICES

IMAGE = f"127.0.0.1:5000/slipway-local/api@sha256:{'a' * 64}"
OUTPUTS: dict[str, Any] = {"apiEnvironment": {"AWS_REGION": "us-east-1"}, "apiSecrets": {}}


@pytest.fixture
def workloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workloads:
    cloud = Cloud("test", tmp_path)
    monkeypatch.setitem(cloud.__dict__, "ports", Ports(aws=4566, ecr=5000, registry=5001, databases="127.83.1.1"))
    return Workloads(cloud)


def names(*services: str) -> dict[str, str]:
    return {service: f"slipway-test-local-{service}" for service in services}


def test_every_service_that_stays_has_a_port() -> None:
    assert {*PORTS, MIGRATE} == set(SERVICES)


def test_a_service_gets_its_type_its_memory_and_the_environment(workloads: Workloads) -> None:
    container = workloads.service(OUTPUTS, "auth", IMAGE, names("auth", "api"), 512)
    assert container.environment["SERVICE_TYPE"] == "auth"
    assert container.environment["AWS_REGION"] == "us-east-1"
    assert container.environment["AWS_ENDPOINT_URL"] == "http://host.docker.internal:4566"
    assert (container.image, container.memory_mib, container.publish) == (IMAGE, 512, 8002)


def test_the_edge_is_told_where_the_others_are_and_nothing_else(workloads: Workloads) -> None:
    container = workloads.service(OUTPUTS, EDGE, IMAGE, names("migrate", "auth", "api", "dashboard", EDGE), 256)
    assert container.environment == {
        "API_UPSTREAM": "slipway-test-local-api:8000",
        "AUTH_UPSTREAM": "slipway-test-local-auth:8002",
        "DASHBOARD_UPSTREAM": "slipway-test-local-dashboard:8001",
    }
    assert container.publish == 8080


def test_behind_an_edge_nothing_else_is_published(workloads: Workloads) -> None:
    assert workloads.service(OUTPUTS, "api", IMAGE, names("api", EDGE), 768).publish is None


def test_what_ends_listens_on_nothing(workloads: Workloads) -> None:
    assert workloads.service(OUTPUTS, MIGRATE, IMAGE, names("migrate", "api"), 2048).publish is None
