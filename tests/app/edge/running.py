"""Caddy with the product's own Caddyfile, and a service behind it that does what a test says."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.app import servers

WEB_IMAGE = servers.ROOT / "images" / "web"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Answer = Callable[[bytes, socket.socket], bytes | None]
"""An answer to a request's head: the bytes to answer, or None to close the connection."""


class Upstream:
    """A service behind the edge, byte by byte: it keeps each request's head, and the moment that a connection ended."""

    def __init__(self, answer: Answer = lambda _head, _connection: OK, port: int | None = None) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.connections = 0
        self.port = port or servers.free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """Return the address that it listens on."""
        return f"127.0.0.1:{self.port}"

    def header(self, name: str) -> str | None:
        """Return a header of the last request."""
        found = re.search(rb"(?im)^" + name.encode() + rb": (.*?)\r$", self.heads[-1])
        return found[1].decode() if found else None

    def close(self) -> None:
        """Listen no more, and end every connection."""
        with contextlib.suppress(OSError):  # closed already
            # The thread that accepts would otherwise take one more.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        waiting = b""
        with connection:
            while True:
                while b"\r\n\r\n" not in waiting:
                    try:
                        received = connection.recv(65_536)
                    except OSError:
                        return
                    if not received:
                        return
                    waiting += received
                head, _, waiting = waiting.partition(b"\r\n\r\n")
                self.heads.append(head + b"\r\n")
                if length := re.search(rb"(?i)content-length: (\d+)", head):
                    while len(waiting) < int(length[1]):
                        waiting += connection.recv(65_536)
                    waiting = waiting[int(length[1]) :]
                answer = self.answer(self.heads[-1], connection)
                if answer is None:
                    return
                with contextlib.suppress(OSError):  # the edge may have given up
                    connection.sendall(answer)


class Edge(servers.Process):
    """Caddy as the image of the edge runs it, on a free port. `replaced` changes words of its Caddyfile."""

    def __init__(
        self,
        folder: Path,
        caddy: Path,
        upstream: str,
        environment: Mapping[str, str] | None = None,
        replaced: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder)
        self._caddy = caddy
        self.environment = {
            "PORT": str(self.port),
            "WEB_ROOT": str(folder / "web"),
            **{f"{name}_UPSTREAM": upstream for name in ("API", "AUTH", "DASHBOARD")},
            **(environment or {}),
        }
        (folder / "web").mkdir(exist_ok=True)
        (folder / "web" / "index.html").write_text("the page")
        texts = {file.name: file.read_text() for file in (WEB_IMAGE / "Caddyfile", *WEB_IMAGE.glob("*.caddy"))}
        for old, new in (replaced or {}).items():
            assert any(old in text for text in texts.values()), f"the Caddyfile has no {old!r}"
            texts = {name: text.replace(old, new) for name, text in texts.items()}
        for name, text in texts.items():
            (folder / name).write_text(text)

    @property
    def url(self) -> str:
        """Return the address that it answers on."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Return the image's entrypoint."""
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        config = ["--config", str(self.folder / "Caddyfile"), "--adapter", "caddyfile"]
        return ["env", *settings, f"HOME={self.folder}", str(self._caddy), "run", *config]

    @property
    def log(self) -> str:
        """Everything that it logged."""
        return (self.folder / "log").read_text()
