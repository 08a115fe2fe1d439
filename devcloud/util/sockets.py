"""Ports and sockets of this machine: which are free, and whether a service answers there."""

import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from devcloud.util.console import MachineError, UserError
from devcloud.util.waiting import wait_until

Address = tuple[str, int] | Path
"""A host and its port, or a unix socket."""


def is_free(host: str, port: int) -> bool:
    """Return whether nothing listens on a port."""
    with contextlib.suppress(OSError), socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return True
    return False


def check_ports(ports: Sequence[int], whose: str, remedy: str) -> None:
    """Raise MachineError if something listens on a port of 127.0.0.1 that `whose` services need."""
    for port in ports:
        if not is_free("127.0.0.1", port):
            raise MachineError(f"Port {port} of 127.0.0.1 is taken, and {whose} needs it: {remedy}.")


def wait_for(address: Address, limit: float, what: str, log: Path) -> None:
    """Wait until something accepts connections at an address. Raise UserError with the end of its log."""
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    target = os.fspath(address) if isinstance(address, Path) else address

    def accepts() -> bool:
        with contextlib.suppress(OSError), socket.socket(family) as probe:
            probe.settimeout(1)
            probe.connect(target)
            return True
        return False

    if not wait_until(accepts, limit, pause=0.05):
        tail = " / ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else "nothing"
        raise UserError(
            f"{what[0].upper()}{what[1:]} did not answer within {limit:.0f} s. The end of its log, {log}, says: {tail}"
        )
