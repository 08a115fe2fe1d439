"""The requests of the real machine, to servers that misbehave."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from infra.host.machine import Linux

HEAD = b"HTTP/1.1 200 OK\r\nX-Image-Digest: sha256:00\r\n"


@contextmanager
def server(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """Answer one connection, and yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            # The other side may have gone, which is the case under test.
            with connection, suppress(OSError):
                connection.recv(4096)
                answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


def trickle(connection: socket.socket) -> None:
    """Send a byte now and then, as long as somebody reads."""
    for byte in HEAD * 100:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def flood(connection: socket.socket) -> None:
    """Send without end."""
    connection.sendall(HEAD + b"\r\n")
    while True:
        connection.sendall(b"x" * 4096)


@pytest.mark.parametrize(
    "rest", [b"Content-Length: 2\r\n\r\nok", b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"\r\nok"]
)
def test_an_answer_is_read(rest: bytes) -> None:
    with server(lambda connection: connection.sendall(HEAD + rest)) as port:
        answer = Linux().get("127.0.0.1", port, "/health", 5)
    assert (answer.status, answer.body, answer.headers["x-image-digest"]) == (200, "ok", "sha256:00")


def test_an_answer_that_comes_byte_by_byte_ends_with_its_time() -> None:
    begun = time.monotonic()
    with server(trickle) as port, pytest.raises(OSError, match=r"timed out|no whole answer within 0.3 s"):
        Linux().get("127.0.0.1", port, "/health", 0.3)
    assert time.monotonic() - begun < 3


def test_an_answer_without_end_is_cut() -> None:
    with server(flood) as port:
        answer = Linux().get("127.0.0.1", port, "/health", 5)
    assert 0 < len(answer.body) < 64 * 1024


def test_what_is_no_http_has_a_sentence() -> None:
    said = pytest.raises(OSError, match="no valid HTTP answer")
    with server(lambda connection: connection.sendall(b"hello\r\n")) as port, said:
        Linux().get("127.0.0.1", port, "/health", 5)
    with server(lambda connection: None) as port, said:
        Linux().get("127.0.0.1", port, "/health", 5)
