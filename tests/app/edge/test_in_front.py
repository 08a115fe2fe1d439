"""Proxies in front of the edge: a load balancer that is named is believed, anyone else is not."""

import httpx
import pytest

from tests.app.edge.conftest import Start
from tests.app.edge.running import Upstream

pytestmark = pytest.mark.services

SAID = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9", "X-Forwarded-Proto": "https"}


def test_what_anyone_says_of_the_client_does_not_count(start: Start, upstream: Upstream) -> None:
    httpx.get(f"{start().url}/api/labs", headers=SAID)
    assert upstream.header("X-Forwarded-For") == "127.0.0.1"
    assert upstream.header("X-Forwarded-Proto") == "http"


def test_a_load_balancer_is_believed(start: Start, upstream: Upstream) -> None:
    edge = start(environment={"TRUSTED_PROXIES": "10.0.0.0/8 127.0.0.0/8"})
    httpx.get(f"{edge.url}/api/labs", headers=SAID)
    # The last address is the one that the load balancer saw itself; the one before it is the client's own word.
    assert upstream.header("X-Forwarded-For") == "203.0.113.9"
    assert upstream.header("X-Forwarded-Proto") == "https"


@pytest.mark.parametrize("path", ["/", "/health", "/api/labs", "/api/ready"])
def test_browsers_are_told_to_stay_with_https(start: Start, path: str) -> None:
    edge = start(environment={"TRUSTED_PROXIES": "127.0.0.0/8"})
    secure = httpx.get(f"{edge.url}{path}", headers=SAID)
    assert secure.headers["strict-transport-security"] == "max-age=86400"
    assert "strict-transport-security" not in httpx.get(f"{edge.url}{path}").headers
