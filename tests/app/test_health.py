"""The health check of the image."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from app import health
from tests.app import servers


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /health as it is told."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (500, 1)])
def test_a_service_is_well_where_it_says_so(port: int, monkeypatch: pytest.MonkeyPatch, status: int, code: int) -> None:
    monkeypatch.setattr(Handler, "status", status)
    assert health.main({"SERVICE_TYPE": "auth", "PORT": str(port)}) == code


def test_a_service_that_does_not_answer_is_not_well() -> None:
    assert health.main({"SERVICE_TYPE": "api", "PORT": str(servers.free_port())}) == 1


def test_a_one_shot_is_well_for_as_long_as_it_runs() -> None:
    assert health.main({"SERVICE_TYPE": "migrate"}) == 0


def test_no_service_is_not_well() -> None:
    assert health.main({}) == 1


def test_a_port_that_is_none_is_not_well() -> None:
    assert health.main({"SERVICE_TYPE": "api", "PORT": "eighty"}) == 1
