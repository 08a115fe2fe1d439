"""Outputs of a stack: services with a route, with one that keeps its path, without one, one that ends, and an edge."""

from typing import Any

import pytest

from infra.outputs import StackOutputs
from tests.outputs import outputs_of


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
    return outputs_of(services=SERVICES)


@pytest.fixture
def without_edge() -> StackOutputs:
    """Return the outputs of a stack whose services are reached directly."""
    return outputs_of(services={name: one for name, one in SERVICES.items() if name != "front"})
