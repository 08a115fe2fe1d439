"""The smoke test: how the release's services share their host, and how each is reached."""

import pytest

from devcloud.verify.containers import EDGE
from devcloud.verify.smoke_test import HOST_MEMORY_MIB, MEMORY_MIB, MIGRATE, way_to
from infra.program import SERVICES


def test_the_services_share_the_hosts_memory_and_no_more() -> None:
    assert sum(MEMORY_MIB.values()) <= HOST_MEMORY_MIB
    assert {*MEMORY_MIB, MIGRATE} == set(SERVICES)


@pytest.mark.parametrize(
    ("service", "edge", "published_by", "path"),
    [
        ("api", True, EDGE, "/api/health"),
        ("auth", True, EDGE, "/auth/health"),
        ("dashboard", True, EDGE, "/dashboard"),
        (EDGE, True, EDGE, "/health"),
        ("api", False, "api", "/health"),
        ("dashboard", False, "dashboard", "/dashboard"),
    ],
)
def test_a_service_is_asked_as_a_browser_would(service: str, edge: bool, published_by: str, path: str) -> None:
    way = way_to(service, edge)
    assert (way.service, way.prefix + way.alive) == (published_by, path)
