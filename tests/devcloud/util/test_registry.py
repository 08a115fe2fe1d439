"""The client of a registry: answers, refusals, and a registry that is not there."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from devcloud.util.registry import OCI_MANIFEST, Manifest, Registry, RegistryError

MANIFEST = json.dumps({"schemaVersion": 2}).encode()
DIGEST = "sha256:" + "a" * 64


class Handler(BaseHTTPRequestHandler):
    """A registry with one image, `team/api:one`, and one blob of ten bytes."""

    def do_GET(self) -> None:
        """Answer as the distribution specification says."""
        match self.path:
            case "/v2/_catalog?n=1000":
                self._answer(200, json.dumps({"repositories": ["team/api"]}).encode())
            case "/v2/team/api/tags/list":
                self._answer(200, json.dumps({"tags": ["two", "one"]}).encode())
            case "/v2/team/api/manifests/one":
                self._answer(200, MANIFEST)
            case "/v2/team/api/blobs/ten":
                start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
                self._answer(206 if start else 200, b"0123456789"[start:])
            case _:
                self._answer(404, json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN"}]}).encode())

    def do_HEAD(self) -> None:
        """Answer as to a GET, without the body."""
        self.do_GET()

    def do_PUT(self) -> None:
        """Refuse every manifest."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(400, json.dumps({"errors": [{"code": "MANIFEST_INVALID"}]}).encode())

    def log_message(self, *_: object) -> None:
        """Keep standard error empty."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", OCI_MANIFEST)
        self.send_header("Docker-Content-Digest", DIGEST)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Registry(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_what_is_there_is_read(registry: Registry) -> None:
    assert registry.repositories() == ["team/api"]
    assert registry.tags("team/api") == ["one", "two"]
    assert registry.digest("team/api", "one") == DIGEST
    assert registry.manifest("team/api", "one") == Manifest(DIGEST, OCI_MANIFEST, MANIFEST.decode())
    assert registry.blob_size("team/api", "ten") == 10


def test_a_blob_is_read_whole_or_from_a_byte_on(registry: Registry) -> None:
    assert registry.blob("team/api", "ten") == b"0123456789"
    assert registry.blob("team/api", "ten", 6) == b"6789"


def test_what_is_missing_is_none(registry: Registry) -> None:
    assert registry.tags("team/web") == []
    assert registry.digest("team/api", "three") is None
    assert registry.manifest("team/api", "three") is None
    assert registry.blob_size("team/api", "eleven") is None


def test_a_refusal_carries_the_registrys_code(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="PUT /v2/team/api/manifests/one with 400") as refusal:
        registry.put("team/api", "one", MANIFEST, OCI_MANIFEST)
    assert refusal.value.code == "MANIFEST_INVALID"


def test_a_registry_that_is_not_there_is_an_error_of_the_registry() -> None:
    with pytest.raises(RegistryError, match=r"the registry at http://127\.0\.0\.1:1 did not answer"):
        Registry("http://127.0.0.1:1").tags("team/api")
