"""Services of the release as containers: what each is given, what is published, and how it is reached."""

from pathlib import Path

import pytest

from devcloud.cloud.cloud import Cloud, Ports
from devcloud.verify.containers import Way, Workloads, way_to
from infra.outputs import StackOutputs

IMAGE = f"127.0.0.1:5000/slipway-local/py@sha256:{'a' * 64}"


@pytest.fixture
def workloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workloads:
    cloud = Cloud("test", tmp_path)
    monkeypatch.setitem(cloud.__dict__, "ports", Ports(aws=4566, ecr=5000, registry=5001, databases="127.83.1.1"))
    return Workloads(cloud)


def names(outputs: StackOutputs) -> dict[str, str]:
    return {service: f"slipway-test-local-{service}" for service in outputs.services}


def test_a_service_gets_its_memory_and_its_own_environment(workloads: Workloads, outputs: StackOutputs) -> None:
    container = workloads.service(outputs, "reports", IMAGE, names(outputs))
    assert container.environment["SERVICE_TYPE"] == "reports"
    assert container.environment["AWS_REGION"] == "us-east-1"
    assert container.environment["AWS_ENDPOINT_URL"] == "http://host.docker.internal:4566"
    assert (container.image, container.memory_mib) == (IMAGE, 512)


def test_the_edge_is_told_where_the_routed_services_are_and_nothing_else(
    workloads: Workloads, outputs: StackOutputs
) -> None:
    container = workloads.service(outputs, "front", IMAGE, names(outputs))
    assert container.environment == {
        "REPORTS_UPSTREAM": "slipway-test-local-reports:8002",
        "BOARD_UPSTREAM": "slipway-test-local-board:8001",
    }
    assert container.publish == 8080


def test_behind_an_edge_a_routed_service_is_not_published(workloads: Workloads, outputs: StackOutputs) -> None:
    assert workloads.service(outputs, "reports", IMAGE, names(outputs)).publish is None


def test_without_an_edge_every_service_is_published(workloads: Workloads, without_edge: StackOutputs) -> None:
    assert workloads.service(without_edge, "reports", IMAGE, names(without_edge)).publish == 8002


def test_what_ends_listens_on_nothing_and_may_have_the_hosts_memory(
    workloads: Workloads, outputs: StackOutputs
) -> None:
    container = workloads.service(outputs, "prepare", IMAGE, names(outputs))
    assert (container.publish, container.memory_mib) == (None, 2048)


@pytest.mark.parametrize(
    ("service", "way"),
    [
        ("reports", Way("front", "/reports/health")),
        ("board", Way("front", "/board")),
        ("cache-fill", Way("cache-fill", "/health")),
        ("front", Way("front", "/health")),
    ],
)
def test_a_service_is_asked_as_a_browser_would(outputs: StackOutputs, service: str, way: Way) -> None:
    assert way_to(outputs, service) == way


def test_without_an_edge_a_service_is_asked_itself(without_edge: StackOutputs) -> None:
    assert way_to(without_edge, "reports") == Way("reports", "/health")
