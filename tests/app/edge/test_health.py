"""The edge answers what a release asks of it."""

import httpx
import pytest

from tests.app.edge.conftest import Start
from tests.app.edge.running import Upstream

pytestmark = pytest.mark.services

DIGEST = "sha256:" + "0123456789abcdef" * 4


def test_health_names_the_digest_of_the_edges_image(start: Start) -> None:
    answer = httpx.get(f"{start(environment={'IMAGE_DIGEST': DIGEST}).url}/health")
    assert answer.json() == {"status": "ok"}
    assert answer.headers["x-image-digest"] == DIGEST


def test_health_names_no_digest_if_the_host_gave_none(start: Start) -> None:
    answer = httpx.get(f"{start().url}/health")
    assert answer.status_code == 200
    assert "x-image-digest" not in answer.headers


@pytest.mark.parametrize(
    ("asked", "passed_on"),
    [
        ("/api/health", b"/health"),
        ("/auth/health", b"/health"),
        ("/dashboard/health", b"/dashboard/health"),
    ],
)
def test_the_health_of_each_route_is_its_services_own(
    start: Start, upstream: Upstream, asked: str, passed_on: bytes
) -> None:
    upstream.answer = lambda *_: b"HTTP/1.1 200 OK\r\nX-Image-Digest: its-own\r\nContent-Length: 2\r\n\r\n{}"
    answer = httpx.get(f"{start(environment={'IMAGE_DIGEST': DIGEST}).url}{asked}")
    assert answer.headers["x-image-digest"] == "its-own"
    assert upstream.heads[-1].startswith(b"GET " + passed_on + b" ")


@pytest.mark.parametrize(
    "path",
    [
        "/api/ready",
        "/auth/ready",
        "/dashboard/ready",
        "/api/ready/",
        "/api//ready",
        "/api/%72eady",
        "/API/ready",
        "/api/ready%0A",
        "/api/ready%0a/",
    ],
)
def test_readiness_is_not_for_the_public(start: Start, upstream: Upstream, path: str) -> None:
    answer = httpx.get(f"{start().url}{path}")
    assert answer.status_code == 404 or answer.text == "the page"
    assert upstream.heads == []
