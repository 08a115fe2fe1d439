"""Certificates of the edge, from a real ACME server: the first one, a renewal in a release, and none to be had."""

import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from infra.host import tls
from tests.app import servers
from tests.app.edge.acme import LOOPBACK, Dns, Pebble, Public
from tests.app.edge.conftest import Start
from tests.app.edge.running import OK, Edge, Upstream

pytestmark = pytest.mark.services

DOMAIN, ELSEWHERE, NOWHERE = "labs.example.com", "elsewhere.example.com", "nowhere.example.com"
LIFETIME_SECONDS = 300
"""Shorter than the ten minutes between two looks of Caddy at its certificates: each edge that starts renews its own."""
QUICK = {"shutdown_delay 15s": "shutdown_delay 2s", "idle 15s": "idle 2s"}


@dataclass
class World:
    """A host as its clients and an ACME server see it, and edges in front of one service."""

    start: Start
    public: Public
    pebble: Pebble
    folder: Path
    """The folder of certificates, which all edges share."""

    def edge(self, domain: str = DOMAIN) -> Edge:
        """Start an edge that answers for a domain; the public ports stay as they are."""
        ports = {"HTTP_PORT": servers.free_port(), "HTTPS_PORT": servers.free_port()}
        return self.start(
            environment={
                "SCHEME": "https",
                "DOMAIN": domain,
                "ACME_DIRECTORY": self.pebble.directory,
                "ACME_ROOT": str(self.pebble.certificate),
                "CERTIFICATES": str(self.folder),
                **{name: str(port) for name, port in ports.items()},
            },
            replaced=QUICK,
        )

    def turn(self, edge: Edge) -> None:
        """Turn the public ports to an edge."""
        self.public.target = (int(edge.environment["HTTP_PORT"]), int(edge.environment["HTTPS_PORT"]))

    def certificate(self, port: int, domain: str = DOMAIN) -> bytes | None:
        """Return the certificate that is shown at a port; None if there is none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((LOOPBACK, port), 5) as plain:
            try:
                with context.wrap_socket(plain, server_hostname=domain) as secure:
                    return secure.getpeercert(binary_form=True)
            except ssl.SSLError:
                return None

    def serves(self) -> Edge:
        """Start an edge that serves by HTTPS."""
        edge = self.edge()
        self.turn(edge)
        servers.wait_for(lambda: self.certificate(self.public.https) is not None, "the certificate")
        return edge

    def plain(self) -> httpx.Response:
        """Return the answer of the public port of HTTP, to someone who knows only the address."""
        return httpx.get(f"http://{LOOPBACK}:{self.public.http}/api/labs?a=1")

    def load(self) -> "Load":
        """Return clients that believe the ACME server's root alone."""
        root = self.folder / "root.pem"
        own = ssl.create_default_context(cafile=str(self.pebble.certificate))
        root.write_text(httpx.get(self.pebble.root, verify=own).text)
        return Load(self.public.https, root)


@dataclass
class Load:
    """Clients that speak HTTP/2, each request after the other on one connection for as long as the edge keeps it."""

    port: int
    root: Path
    answers: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def begin(self) -> "Load":
        """Ask without a pause: what reads, what writes, and what takes a second."""
        for options in (["/api/labs?[1-60]"], ["--data", "{}", "/api/labs?[1-60]"], ["/api/slow?[1-3]"]):
            thread = threading.Thread(target=self._ask, args=(options,))
            thread.start()
            self._threads.append(thread)
        return self

    def end(self) -> None:
        """Let the last requests end, and fail if any failed."""
        self._end.set()
        for thread in self._threads:
            thread.join()
        assert self.problems == []
        assert set(self.answers) == {"200 2"}

    def _ask(self, options: list[str]) -> None:
        command = [
            *("curl", "--silent", "--verbose", "--http2", "--cacert", str(self.root), "--rate", "30/s"),
            *("--connect-to", f"{DOMAIN}:443:{LOOPBACK}:{self.port}", "--max-time", "20", "--output", "/dev/null"),
            *("--write-out", "%{http_code} %{http_version}\n", *options[:-1], f"https://{DOMAIN}{options[-1]}"),
        ]
        while not self._end.is_set():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            self.answers += done.stdout.splitlines()
            # curl sends a request again if its connection was closed under it.
            if done.returncode != 0 or "retrying" in done.stderr:
                self.problems.append(f"{done.returncode}: {done.stderr[-2000:]}")


@pytest.fixture
def world(start: Start, upstream: Upstream, pebble: Path) -> Iterator[World]:
    """Run an ACME server that knows where the domains are."""

    def answer(head: bytes, _: socket.socket) -> bytes:
        if head.startswith(b"GET /slow"):
            time.sleep(1)
        return OK

    upstream.answer = answer
    public, dns = Public(), Dns({DOMAIN: LOOPBACK, ELSEWHERE: "127.0.0.2"})
    server = Pebble(servers.folder("pebble"), pebble, public, dns, LIFETIME_SECONDS)
    server.start()
    made = World(start, public, server, servers.folder("certificates"))
    yield made
    server.stop(signal.SIGKILL)
    public.close()
    dns.close()
    for folder in (server.folder, made.folder):
        shutil.rmtree(folder, ignore_errors=True)


def test_a_domain_without_a_certificate_is_served_by_http(world: World) -> None:
    edge = world.edge()
    servers.wait_for(lambda: "did not reach this host" in tls.reason(edge.log), "the reason")
    world.turn(edge)
    answer = world.plain()
    assert (answer.status_code, answer.text) == (200, "{}")
    assert "strict-transport-security" not in answer.headers


def test_a_first_certificate(world: World, upstream: Upstream) -> None:
    edge = world.serves()
    answer = world.plain()
    assert (answer.status_code, answer.headers["location"]) == (308, f"https://{DOMAIN}/api/labs?a=1")
    world.load().begin().end()
    assert upstream.header("X-Forwarded-Proto") == "https"
    # The host's own door answers as before.
    assert httpx.get(f"{edge.url}/health").status_code == 200


def test_a_renewal_in_a_release_cuts_nobody_off(world: World) -> None:
    old = world.serves()
    load = world.load().begin()
    shown = world.certificate(world.public.https)
    new = world.edge()
    port = int(new.environment["HTTPS_PORT"])
    # The ACME server asks at the public port, which still leads to the old edge.
    servers.wait_for(lambda: world.certificate(port) not in (None, shown), "the renewal")
    assert re.search(r'"distributed":true', old.log)
    world.turn(new)
    time.sleep(1)
    assert old.stop(signal.SIGTERM) == 0
    load.end()
    assert world.certificate(world.public.https) not in (None, shown)


def test_the_old_certificate_goes_on_if_the_acme_server_is_away(world: World) -> None:
    old = world.serves()
    load = world.load().begin()
    shown = world.certificate(world.public.https)
    world.pebble.stop(signal.SIGKILL)
    new = world.edge()
    servers.wait_for(lambda: "cannot be used" in tls.reason(new.log), "the reason")
    world.turn(new)
    assert old.stop(signal.SIGTERM) == 0
    load.end()
    assert world.certificate(world.public.https) == shown


@pytest.mark.parametrize("domain", [ELSEWHERE, NOWHERE])
def test_a_wrong_domain_gets_no_certificate_and_the_edge_says_why(world: World, domain: str) -> None:
    world.serves()
    load = world.load().begin()
    wrong = world.edge(domain)
    servers.wait_for(lambda: "did not reach this host" in tls.reason(wrong.log), "the reason")
    assert world.certificate(int(wrong.environment["HTTPS_PORT"]), domain) is None
    assert wrong.stop(signal.SIGTERM) == 0
    load.end()
