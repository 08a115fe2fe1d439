"""Tell whether a domain leads to the host, before the ACME server finds that it does not."""

import socket
import threading
from collections.abc import Sequence

PATIENCE_SECONDS = 5.0
NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


def note(domain: str, address: str) -> str | None:
    """Return that a domain does not lead to an address, and what to do; None if it does or nobody knows."""
    found = addresses_of(domain)
    if found is None or address in found:
        return None
    leads = f"leads to {', '.join(sorted(found))} and not to this host" if found else "has no A record"
    return (
        f"host.domain: {domain} {leads}, as this machine sees it: have its A record name {address}. Until then there "
        "is no certificate, and Let's Encrypt refuses more after 5 failed tries in an hour."
    )


def addresses_of(domain: str) -> Sequence[str] | None:
    """Return the IPv4 addresses of a domain; None if no resolver answers."""
    answers: list[Sequence[str]] = []

    def ask() -> None:
        try:
            found = socket.getaddrinfo(domain, None, socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:
            if error.errno in NO_SUCH_NAME:
                answers.append(())
            return
        answers.append([str(address[0]) for *_, address in found])

    # A daemon: the resolver's own patience may be a minute, which nobody should wait for at the end.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return answers[0] if answers else None
