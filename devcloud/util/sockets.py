"""Ports and sockets of this machine: which are free, and whether a service answers there."""

import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from devcloud.util.console import UserError
from devcloud.util.waiting import wait_until


def is_free(host: str, port: int) -> bool:
    """Return whether nothing listens on a port."""
    with contextlib.suppress(OSError), socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return True
    return False


def check_ports(ports: Sequence[int], whose: str, remedy: str) -> None:
    """Raise UserError if something listens on a port of 127.0.0.1 that `whose` services need."""
    for port in ports:
        if not is_free("127.0.0.1", port):
            raise UserError(f"Port {port} of 127.0.0.1 is taken, and {whose} needs it: {remedy}.")


def wait_for_port(host: str, port: int, limit: float, what: str, log: Path) -> None:
    """Wait until something accepts connections there. Raise UserError with the end of its log."""
    _wait_for(socket.AF_INET, (host, port), limit, what, log)


def wait_for_socket(path: Path, limit: float, what: str, log: Path) -> None:
    """Wait until something accepts connections on a unix socket. Raise UserError with the end of its log."""
    _wait_for(socket.AF_UNIX, os.fspath(path), limit, what, log)


def _wait_for(family: socket.AddressFamily, address: str | tuple[str, int], limit: float, what: str, log: Path) -> None:
    def accepts() -> bool:
        with contextlib.suppress(OSError), socket.socket(family) as probe:
            probe.settimeout(1)
            probe.connect(address)
            return True
        return False

    if not wait_until(accepts, limit, pause=0.05):
        tail = " / ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else "nothing"
        raise UserError(f"{what} did not answer within {limit:.0f} s. The end of its log, {log}, says: {tail}")
