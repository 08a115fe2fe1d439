"""Surround an edge for the tests of certificates: an ACME server, its DNS, and public ports that can be turned."""

import contextlib
import datetime
import ipaddress
import json
import selectors
import socket
import struct
import threading
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.app import servers

LOOPBACK = "127.0.0.1"
A, NAME_ERROR, IS_ANSWER = 1, 3, 0x8180


class Dns:
    """A DNS server, by TCP, that knows a few names and no other."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self.addresses = addresses
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                while size := stream.read(2):
                    answer = self._answer(stream.read(int.from_bytes(size)))
                    connection.sendall(len(answer).to_bytes(2) + answer)

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        (kind,) = struct.unpack(">H", query[at + 1 : at + 3])
        address = self.addresses.get(".".join(labels))
        flags = IS_ANSWER if address else IS_ANSWER | NAME_ERROR
        found = b""
        if address and kind == A:
            # The name by its place in the query, class IN, a minute to live.
            found = struct.pack(">HHHIH", 0xC00C, A, 1, 60, 4) + ipaddress.IPv4Address(address).packed
        header = query[:2] + struct.pack(">HHHHH", flags, 1, 1 if found else 0, 0, 0)
        return header + query[12 : at + 5] + found


class Pebble(servers.Process):
    """Let's Encrypt's ACME server for tests, which asks the public address on the loopback."""

    def __init__(self, folder: Path, program: Path, public: "Public", dns: Dns, lifetime_seconds: int) -> None:
        super().__init__(folder)
        self._program, self._dns = program, dns
        self._management = servers.free_port()
        self.certificate = own_certificate(folder)
        config = {
            "listenAddress": f"{LOOPBACK}:{self.port}",
            "managementListenAddress": f"{LOOPBACK}:{self._management}",
            "certificate": str(folder / "own.pem"),
            "privateKey": str(folder / "own.key"),
            "httpPort": public.http,
            "tlsPort": public.https,
            "retryAfter": {"authz": 1, "order": 1},
            "profiles": {"default": {"description": "of these tests", "validityPeriod": lifetime_seconds}},
            "keyAlgorithm": "ecdsa",
        }
        (folder / "config.json").write_text(json.dumps({"pebble": config}))

    @property
    def directory(self) -> str:
        """Return the address of its directory."""
        return f"https://{LOOPBACK}:{self.port}/dir"

    @property
    def root(self) -> str:
        """Return the address of the certificate that those it issues come from."""
        return f"https://{LOOPBACK}:{self._management}/roots/0"

    def command(self) -> list[str]:
        # By its own default it sleeps before it asks, and refuses one request in twenty, to try its clients.
        settings = ["PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0"]
        config = ["-config", str(self.folder / "config.json"), "-dnsserver", f"{LOOPBACK}:{self._dns.port}"]
        return ["env", *settings, str(self._program), *config]


def own_certificate(folder: Path) -> Path:
    """Write a certificate of the loopback that comes from itself, and its key; return the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the ACME server of these tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = serialization.PrivateFormat.PKCS8
    (folder / "own.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    )
    (folder / "own.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder / "own.pem"


class Public:
    """The public ports of HTTP and HTTPS: new connections go to the edge that they are turned to, as with DNAT."""

    def __init__(self) -> None:
        self.target: tuple[int, int] | None = None
        """The edge's own ports of HTTP and HTTPS."""
        self._listeners = [socket.create_server((LOOPBACK, 0), backlog=100) for _ in range(2)]
        self.http, self.https = (listener.getsockname()[1] for listener in self._listeners)
        for number, listener in enumerate(self._listeners):
            threading.Thread(target=self._accept, args=(listener, number), daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket, number: int) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if self.target is None:
                connection.close()
                continue
            threading.Thread(target=_join, args=(connection, self.target[number]), daemon=True).start()


def _join(connection: socket.socket, port: int) -> None:
    """Pass on what either side says until one of them has no more to say."""
    with connection, contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port)) as edge:
        chooser = selectors.DefaultSelector()
        for here, there in ((connection, edge), (edge, connection)):
            here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            chooser.register(here, selectors.EVENT_READ, there)
        while True:
            for key, _ in chooser.select():
                data = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                if not data:
                    return
                key.data.sendall(data)
