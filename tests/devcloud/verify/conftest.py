"""Outputs of a stack: services with a route, with one that keeps its path, without one, one that ends, and an edge."""

from typing import Any

import pytest

from infra.outputs import StackOutputs, parse


def service(**given: Any) -> dict[str, Any]:
    """Return a service as a stack exports it."""
    return {
        "image": "py",
        "health": "/health",
        "strip": False,
        "edge": False,
        "once": False,
        "environment": {},
        "secrets": {},
        **given,
    }


def exported(services: dict[str, Any]) -> StackOutputs:
    """Return the outputs of a stack with these services."""
    return parse(
        "local",
        {
            "region": "us-east-1",
            "images": {},
            "digests": {},
            "contentTags": {},
            "sizeBudgetsMb": {},
            "apiUrl": "http://203.0.113.7:80",
            "apiAddress": "203.0.113.7",
            "apiInstanceId": "i-1",
            "hostMemoryMib": 2048,
            "databaseHost": "10.20.0.11",
            "releaseParameter": "/slipway/local/release",
            "services": services,
            "monthlyCostUsd": 1,
            "monthlyCostUsdByPart": {},
            "monthlyBudgetUsd": 50,
        },
    )


SERVICES = {
    "prepare": service(once=True),
    "reports": service(
        port=8002,
        memoryMib=512,
        route="/reports",
        strip=True,
        environment={"SERVICE_TYPE": "reports", "AWS_REGION": "us-east-1"},
    ),
    "board": service(port=8001, memoryMib=256, health="/board", route="/board"),
    "cache-fill": service(port=8003, memoryMib=64),
    "front": service(image="web", port=8080, memoryMib=64, edge=True),
}


@pytest.fixture
def outputs() -> StackOutputs:
    """Return the outputs of a stack with an edge."""
    return exported(SERVICES)


@pytest.fixture
def without_edge() -> StackOutputs:
    """Return the outputs of a stack whose services are reached directly."""
    return exported({name: one for name, one in SERVICES.items() if name != "front"})
