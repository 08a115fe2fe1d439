"""The side in front closes an idle connection first, and a stop loses no request."""

import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.chat.routes import TIMEOUT_SECONDS as CHAT_SECONDS
from app.common import web
from infra.product import product_of
from tests.app.edge.conftest import Start
from tests.app.edge.running import OK, WEB_IMAGE, Upstream

pytestmark = pytest.mark.services

NANOSECONDS = 1_000_000_000
PRODUCT = product_of()


@pytest.fixture(scope="module")
def adapted(caddy: Path) -> dict[str, Any]:
    """Return the Caddyfile as Caddy itself understands it."""
    command = [str(caddy), "adapt", "--config", str(WEB_IMAGE / "Caddyfile"), "--adapter", "caddyfile"]
    return dict(json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["apps"]["http"])


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Run what happens beside the test."""
    with ThreadPoolExecutor(2) as threads:
        yield threads


def proxies(config: Any) -> list[dict[str, Any]]:
    """Return the handlers of a part of the configuration that pass requests on."""
    parts = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    found = [config] if isinstance(config, dict) and config.get("handler") == "reverse_proxy" else []
    return found + [proxy for part in parts for proxy in proxies(part)]


def test_the_edge_closes_idle_connections_before_the_services_do(adapted: dict[str, Any]) -> None:
    found = proxies(adapted)
    assert len(found) == sum(service.route is not None for service in PRODUCT.services.values())
    for proxy in found:
        idle = proxy["transport"]["keep_alive"]["idle_timeout"] / NANOSECONDS
        assert idle < web.config(None, 1, "127.0.0.1", {}).timeout_keep_alive  # type: ignore[arg-type]


def test_the_longest_request_is_one_number_everywhere(adapted: dict[str, Any]) -> None:
    longest = web.LONGEST_REQUEST_SECONDS
    assert max(CHAT_SECONDS, web.TIMEOUT_SECONDS) < longest
    assert PRODUCT.longest_request_seconds == longest
    assert web.config(None, 1, "127.0.0.1", {}).timeout_graceful_shutdown == longest  # type: ignore[arg-type]
    assert adapted["grace_period"] / NANOSECONDS == longest
    assert {proxy["transport"]["response_header_timeout"] / NANOSECONDS for proxy in proxies(adapted)} == {longest}


def test_the_edge_drains_for_as_long_as_a_client_may_be_idle(adapted: dict[str, Any]) -> None:
    (server,) = adapted["servers"].values()
    assert server["idle_timeout"] / NANOSECONDS == 15
    assert adapted["shutdown_delay"] == server["idle_timeout"]


def test_an_edge_that_stops_serves_on_and_sends_its_clients_elsewhere(start: Start, pool: ThreadPoolExecutor) -> None:
    edge = start(replaced={"shutdown_delay 15s": "shutdown_delay 2s", "idle 15s": "idle 2s"})
    client = http.client.HTTPConnection("127.0.0.1", edge.port)
    assert asked(client, "GET", "/api/labs").getheader("Connection") != "close"
    ended = pool.submit(edge.stop, signal.SIGTERM)
    time.sleep(0.3)
    for path in ("/api/labs", "/", "/health", "/api/ready"):  # the last is refused
        answer = asked(client, "POST" if path == "/api/labs" else "GET", path)
        assert answer.status in (200, 404)
        assert answer.getheader("Connection") == "close", path
    assert ended.result(10) == 0


def test_an_edge_that_stops_lets_a_request_end(start: Start, upstream: Upstream, pool: ThreadPoolExecutor) -> None:
    def slow(*_: object) -> bytes:
        time.sleep(2)
        return OK

    upstream.answer = slow
    edge = start(replaced={"shutdown_delay 15s": "shutdown_delay 100ms"})
    request = pool.submit(asked, http.client.HTTPConnection("127.0.0.1", edge.port), "POST", "/api/chat")
    while not upstream.heads:
        time.sleep(0.01)
    assert edge.stop(signal.SIGTERM) == 0
    assert request.result(10).status == 200


def test_what_writes_is_sent_once_and_what_reads_is_sent_again(start: Start, upstream: Upstream) -> None:
    def first_try_is_cut_off(head: bytes, _: socket.socket) -> bytes | None:
        return OK if sum(one.split(b" ", 2)[:2] == head.split(b" ", 2)[:2] for one in upstream.heads) > 1 else None

    upstream.answer = first_try_is_cut_off
    edge = start()
    client = http.client.HTTPConnection("127.0.0.1", edge.port)
    assert asked(client, "POST", "/api/labs").status == 502
    assert [head.split(b" ")[0] for head in upstream.heads] == [b"POST"]
    assert asked(client, "GET", "/api/labs").status == 200


def test_a_write_waits_for_a_service_that_is_not_there_yet(
    start: Start, upstream: Upstream, pool: ThreadPoolExecutor
) -> None:
    upstream.close()
    edge = start()
    request = pool.submit(asked, http.client.HTTPConnection("127.0.0.1", edge.port), "POST", "/api/labs")
    time.sleep(1)
    later = Upstream(port=upstream.port)
    assert request.result(10).status == 200
    assert len(later.heads) == 1
    later.close()


def asked(client: http.client.HTTPConnection, method: str, path: str) -> http.client.HTTPResponse:
    """Return an answer that was read to its end."""
    client.request(method, path, body=b"{}" if method == "POST" else None)
    answer = client.getresponse()
    answer.read()
    return answer
