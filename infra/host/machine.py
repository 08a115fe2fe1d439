"""Everything that the program does to the world: commands, HTTP requests, time, the kernel's figures.

The algorithm gets it as an argument, so that its tests run against a stand-in.
"""

from __future__ import annotations

import http.client
import io
import os
import platform
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from infra.host.probes import Answer

BODY_BYTES = 20_000
ANSWER_BYTES = 64 * 1024
"""Of a whole answer; no more is read."""
TIMED_OUT = 124
"""The code of a command that was killed, as of the program `timeout`."""
PARTIAL_CHAIN, NO_CHECK_TIME = 0x80000, 0x200000
"""OpenSSL's flags: a server's own certificate may be what is trusted, and its dates are left to the caller."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Docker's names of the kernel's architectures."""


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    stdout: str
    stderr: str


class UnfitCertificateError(OSError):
    """A certificate is shown that is of no use for the domain; the message says why."""


class Machine(Protocol):
    """The host, as the program sees it."""

    def run(self, command: Sequence[str], *, given: str | None = None, seconds: float = 60) -> Done:
        """Run a command to its end; one that takes longer than `seconds` is killed and has the code TIMED_OUT."""

    def get(self, address: str, port: int, path: str, seconds: float, domain: str | None = None) -> Answer:
        """Send a GET request, by HTTPS if there is a domain. Raises OSError without a whole answer within `seconds`."""

    def certificate(self, address: str, port: int, domain: str, seconds: float) -> tuple[float, float]:
        """Return the first and the last moment of the certificate that a port shows for a domain.

        Raises OSError without one, and UnfitCertificateError if it is of another name or cannot be read.
        """

    def connects(self, address: str, port: int, seconds: float) -> bool:
        """Return True if a port accepts a connection."""

    def now(self) -> float:
        """Return the time in seconds since 1970."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def free_memory_mib(self) -> int:
        """Return the memory that new processes may take without swapping."""

    def memory_mib(self) -> int:
        """Return the memory that the kernel offers in all."""

    def memory_used_percent(self) -> float:
        """Return the share of memory that new processes may not take."""

    def free_disk_mib(self, folder: str) -> int:
        """Return the free space of a folder's file system."""

    def disk_used_percent(self, folder: str) -> float:
        """Return the share of a folder's file system that is taken."""

    def own_address(self) -> str:
        """Return the host's own address in its network."""

    def architecture(self) -> str:
        """Return the processor's architecture, in Docker's words."""

    def tcp_table(self, pid: int) -> str:
        """Return the kernel's table of the TCP sockets in a process's network."""

    def environment(self, name: str) -> str | None:
        """Return a variable of the program's environment."""


def _secured(connection: socket.socket, domain: str) -> ssl.SSLSocket:
    """Return a connection by TLS, whatever certificate it shows: the host asks itself, not a stranger.

    A handshake that fails closes the connection.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=domain)


def _trusting_only(certificate: bytes) -> ssl.SSLContext:
    """Return a context that trusts this certificate alone, if its names include the domain.

    Python shows the dates only of a certificate that it verified, so `certificate` connects a second time with this.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= PARTIAL_CHAIN | NO_CHECK_TIME
    context.load_verify_locations(cadata=certificate)
    return context


@dataclass(frozen=True)
class Linux:
    """The machine that this program runs on."""

    variables: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def run(self, command: Sequence[str], *, given: str | None = None, seconds: float = 60) -> Done:
        try:
            # As bytes: Python's text would make each carriage return of a log a line of its own.
            done = subprocess.run(
                command,
                input=None if given is None else given.encode(),
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Done(TIMED_OUT, "", f"{command[0]} did not end within {seconds:g} s")
        except FileNotFoundError:
            return Done(127, "", f"{command[0]} is not installed")
        return Done(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))

    def get(self, address: str, port: int, path: str, seconds: float, domain: str | None = None) -> Answer:
        host = domain or f"{address}:{port}"
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", "User-Agent: slipway-host"]
        received = _exchange(address, port, "\r\n".join([*lines, "", ""]).encode(), seconds, domain)
        response = http.client.HTTPResponse(_Received(received))  # type: ignore[arg-type]  # it only makes a file
        try:
            response.begin()
            body = response.read(BODY_BYTES).decode("utf-8", "replace")
        except http.client.HTTPException as error:
            raise OSError(f"no valid HTTP answer ({type(error).__name__})") from None
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def certificate(self, address: str, port: int, domain: str, seconds: float) -> tuple[float, float]:
        with _secured(socket.create_connection((address, port), seconds), domain) as secure:
            shown = secure.getpeercert(binary_form=True) or b""
        connection = socket.create_connection((address, port), seconds)
        try:
            with connection, _trusting_only(shown).wrap_socket(connection, server_hostname=domain) as secure:
                found: Any = secure.getpeercert()
            return ssl.cert_time_to_seconds(found["notBefore"]), ssl.cert_time_to_seconds(found["notAfter"])
        except ssl.SSLCertVerificationError as error:
            raise UnfitCertificateError(error.verify_message.rstrip(".")) from None
        except (ValueError, KeyError, TypeError):
            raise UnfitCertificateError("it cannot be read") from None

    def connects(self, address: str, port: int, seconds: float) -> bool:
        try:
            socket.create_connection((address, port), seconds).close()
        except OSError:
            return False
        return True

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def free_memory_mib(self) -> int:
        return self._memory_kib("MemAvailable") // 1024

    def memory_mib(self) -> int:
        return self._memory_kib("MemTotal") // 1024

    def memory_used_percent(self) -> float:
        return 100.0 * (1 - self._memory_kib("MemAvailable") / self._memory_kib("MemTotal"))

    @staticmethod
    def _memory_kib(name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"), re.MULTILINE)
        return int(found[1]) if found else 0

    def free_disk_mib(self, folder: str) -> int:
        free = os.statvfs(folder)
        return free.f_bavail * free.f_frsize // (1024 * 1024)

    def disk_used_percent(self, folder: str) -> float:
        disk = os.statvfs(folder)
        return 100.0 * (1 - disk.f_bavail / disk.f_blocks)

    def own_address(self) -> str:
        # No packet is sent: connecting a datagram socket only chooses the interface.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as chooser:
            chooser.connect(("169.254.169.254", 80))
            return str(chooser.getsockname()[0])

    def architecture(self) -> str:
        return ARCHITECTURES.get(platform.machine(), platform.machine())

    def tcp_table(self, pid: int) -> str:
        return "".join(
            file.read_text("ascii") for name in ("tcp", "tcp6") if (file := Path(f"/proc/{pid}/net/{name}")).exists()
        )

    def environment(self, name: str) -> str | None:
        return self.variables.get(name)


@dataclass(frozen=True)
class _Received:
    """An answer that has come, in the place of the socket that `http.client` reads."""

    data: bytes

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)


def _exchange(address: str, port: int, request: bytes, seconds: float, domain: str | None) -> bytes:
    """Send a request, by TLS for a domain, and return what comes until the other side closes. Raises OSError.

    The time is for all of it: a socket's own timeout begins again with each byte.
    """
    end = time.monotonic() + seconds
    received = b""
    connection = socket.create_connection((address, port), seconds)
    if domain:
        connection = _secured(connection, domain)
    with connection:
        connection.sendall(request)
        while len(received) < ANSWER_BYTES:
            left = end - time.monotonic()
            if left <= 0:
                raise OSError(f"no whole answer within {seconds:g} s")
            connection.settimeout(left)
            part = connection.recv(ANSWER_BYTES)
            if not part:
                break
            received += part
    return received
