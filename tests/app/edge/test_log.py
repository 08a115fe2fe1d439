"""The edge's log: why a request failed, and no line that a stranger can make long."""

import json
import re
import socket
import time
from typing import Any

import httpx
import pytest

from tests.app import servers
from tests.app.edge.conftest import Start
from tests.app.edge.running import OK, Edge, Upstream

pytestmark = pytest.mark.services

LONGEST_LINE = 2_000


def lines(edge: Edge) -> list[dict[str, Any]]:
    """Return the lines about requests, once the last one is written."""
    time.sleep(0.3)
    found = [json.loads(line) for line in edge.log.splitlines() if line.startswith("{")]
    return [line for line in found if "request" in line]


def reset(_: bytes, connection: socket.socket) -> None:
    """Break the connection, as a process that is killed does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_a_refused_connection_is_named(start: Start) -> None:
    edge = start(behind=f"127.0.0.1:{servers.free_port()}", replaced={"lb_try_duration 3s": "lb_try_duration 200ms"})
    assert httpx.post(f"{edge.url}/api/labs").status_code == 502
    assert "connection refused" in lines(edge)[-1]["reason"]


def test_a_connection_that_breaks_is_named(start: Start, upstream: Upstream) -> None:
    upstream.answer = reset
    edge = start()
    assert httpx.post(f"{edge.url}/api/labs").status_code == 502
    assert re.search("reset by peer|EOF", lines(edge)[-1]["reason"])


def test_an_answer_that_takes_too_long_is_named(start: Start, upstream: Upstream) -> None:
    def late(*_: object) -> bytes:
        time.sleep(1)
        return OK

    upstream.answer = late
    edge = start(replaced={"import patience": "response_header_timeout 200ms"})
    assert httpx.post(f"{edge.url}/api/labs").status_code in (502, 504)
    assert "timeout" in lines(edge)[-1]["reason"]


def test_what_goes_well_has_no_reason(start: Start) -> None:
    edge = start()
    assert httpx.get(f"{edge.url}/api/labs").status_code == 200
    assert "reason" not in lines(edge)[-1]


def test_a_good_request_id_is_kept(start: Start, upstream: Upstream) -> None:
    edge = start()
    answer = httpx.get(f"{edge.url}/api/labs", headers={"X-Request-Id": "a.good-id_1"})
    assert answer.headers["x-request-id"] == upstream.header("X-Request-Id") == lines(edge)[-1]["request_id"]
    assert answer.headers["x-request-id"] == "a.good-id_1"


@pytest.mark.parametrize(
    "ids",
    [["Jane Doe"], ["x" * 65], [" ".join(["Jane Doe"] * 1500)], ["good", "Jane Doe"], ["good", "good"], [""]],
    ids=["a name", "long", "very long", "two", "the same twice", "empty"],
)
def test_any_other_request_id_is_replaced(start: Start, upstream: Upstream, ids: list[str]) -> None:
    edge = start()
    answer = httpx.get(f"{edge.url}/api/labs", headers=[("X-Request-Id", one) for one in ids])
    given = answer.headers["x-request-id"]
    assert re.fullmatch("[0-9a-f-]{36}", given)
    assert given == upstream.header("X-Request-Id") == lines(edge)[-1]["request_id"]
    assert "Jane Doe" not in edge.log


def test_no_request_makes_a_long_line(start: Start) -> None:
    edge = start()
    long = "x" * 9_000
    with httpx.Client() as client:
        client.get(f"{edge.url}/api/{long}?{long}", headers={"User-Agent": long})
        client.get(f"{edge.url}/{long}")
        client.get(f"{edge.url}/api/labs", headers={"Host": long})
        client.request("A" * 10_000, f"{edge.url}/api/labs")
        client.request("GET", f"{edge.url}/api/labs", headers={"X-Forwarded-For": long, "X-Request-Id": long})
    assert len(lines(edge)) >= 4
    assert max(len(line) for line in edge.log.splitlines()) < LONGEST_LINE


def test_the_query_and_the_page_after_a_cut_are_not_logged(start: Start) -> None:
    edge = start()
    httpx.get(f"{edge.url}/api/labs?patient=Jane")
    httpx.get(f"{edge.url}/api/{'x' * 250}/Jane")
    assert [line["request"]["uri"] for line in lines(edge)] == ["/api/labs", f"/api/{'x' * 195}"]
    assert "Jane" not in edge.log
