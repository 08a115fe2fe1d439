"""The requests of the real machine, to servers that misbehave."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from infra.host.machine import Linux, UnfitCertificateError

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


def certificate(names: tuple[str, ...], begin: datetime.datetime, end: datetime.datetime) -> tuple[bytes, bytes]:
    """Return a certificate for these names, in DER, and what a server shows and uses with it, in PEM.

    As an ACME server's, it comes from an authority that nobody here trusts, whose own certificate is shown too.
    """
    x509 = pytest.importorskip("cryptography.x509")
    asymmetric = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    hashes = pytest.importorskip("cryptography.hazmat.primitives.hashes")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    key, own = (asymmetric.generate_private_key(asymmetric.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
    issuer = x509.CertificateBuilder(authority, authority, own.public_key(), 1, begin, end)
    issuer = issuer.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = x509.CertificateBuilder(authority, x509.Name([]), key.public_key(), 2, begin, end)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True)
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    shown_too = issuer.sign(own, hashes.SHA256()).public_bytes(pem)
    return made.sign(own, hashes.SHA256()).public_bytes(der), shown_too + private


@contextmanager
def edge(folder: Path, shown: bytes, rest: bytes) -> Iterator[int]:
    """Show a certificate to each connection, and yield the port."""
    file = folder / "shown.pem"
    file.write_bytes(ssl.DER_cert_to_PEM_cert(shown).encode() + rest)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                        secure.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


BEGIN = datetime.datetime(2026, 11, 1, 7, 30, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize("names", [("labs.example.com",), ("other.example.com", "*.example.com")])
@pytest.mark.parametrize("year", [2027, 2049, 2050, 9999])
def test_the_dates_of_a_certificate_are_read_in_both_forms(names: tuple[str, ...], year: int, tmp_path: Path) -> None:
    end = BEGIN.replace(year=year)
    with edge(tmp_path, *certificate(names, BEGIN, end)) as port:
        found = Linux().certificate("127.0.0.1", port, "labs.example.com", 5)
    assert found == (BEGIN.timestamp(), end.timestamp())


def test_a_certificate_that_has_ended_still_has_its_dates(tmp_path: Path) -> None:
    begin, end = BEGIN.replace(year=2019), BEGIN.replace(year=2020)
    with edge(tmp_path, *certificate(("labs.example.com",), begin, end)) as port:
        assert Linux().certificate("127.0.0.1", port, "labs.example.com", 5)[1] == end.timestamp()


def test_a_certificate_of_another_name_is_of_no_use(tmp_path: Path) -> None:
    shown, rest = certificate(("example.com", "*.labs.example.com"), BEGIN, BEGIN.replace(year=2050))
    with edge(tmp_path, shown, rest) as port, pytest.raises(UnfitCertificateError, match="not valid for 'labs"):
        Linux().certificate("127.0.0.1", port, "labs.example.com", 5)


@pytest.mark.parametrize("date", [b"99999999999999Z", b"20260631000000Z"])
def test_a_certificate_with_dates_that_are_none_is_of_no_use(date: bytes, tmp_path: Path) -> None:
    shown, rest = certificate(("labs.example.com",), BEGIN, BEGIN.replace(year=2050))
    shown = shown.replace(b"20501101073000Z", date)
    # Without the authority's certificate, with which the signature would be compared first.
    rest = rest[rest.index(b"-----BEGIN PRIVATE KEY") :]
    with edge(tmp_path, shown, rest) as port, pytest.raises(UnfitCertificateError, match="it cannot be read"):
        Linux().certificate("127.0.0.1", port, "labs.example.com", 5)


@pytest.mark.parametrize("said", [b"", b"\x15\x03\x01\x00\x02\x02\x50", b"\x16\x03\x03\xff\xff" + bytes(70_000)])
def test_a_port_without_tls_has_no_certificate(said: bytes) -> None:
    with server(lambda connection: connection.sendall(said)) as port, pytest.raises(OSError, match=r"\w"):
        Linux().certificate("127.0.0.1", port, "labs.example.com", 2)


def test_the_output_of_a_command_is_read_byte_by_byte() -> None:
    done = Linux().run(["printf", r"a\rb\r\n\377\302\205c\n"])
    assert done.stdout == "a\rb\r\n\ufffd\x85c\n"
    assert Linux().run(["cat"], given="ü\r\n").stdout == "ü\r\n"
