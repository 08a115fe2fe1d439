"""Tell whether a domain leads to the host, before the ACME server finds that it does not."""

import socket
import threading
from collections.abc import Sequence

PATIENCE_SECONDS = 5.0
NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


def note(domain: str, address: str) -> str | None:
    """Return a warning if a domain does not resolve to an address; None if it does, or if no resolver answers."""
    found = addresses_of(domain)
    if found is None:
        return None
    ipv4, ipv6 = sorted(each for each in found if ":" not in each), sorted(each for each in found if ":" in each)
    if address not in ipv4:
        leads = f"leads to {', '.join(ipv4)} and not to this host" if ipv4 else "has no A record"
        remedy = f"have its A record name {address}"
    elif ipv6:
        # https://letsencrypt.org/docs/ipv6-support/
        leads = f"has an AAAA record too ({', '.join(ipv6)}), which Let's Encrypt prefers, and this host has no IPv6"
        remedy = "remove that record"
    else:
        return None
    return (
        f"host.domain: {domain} {leads}, as this machine sees it: {remedy}. Until then there is no certificate, and "
        "Let's Encrypt refuses more after 5 failed tries in an hour."
    )


def addresses_of(domain: str) -> Sequence[str] | None:
    """Return the addresses of a domain, IPv4 and IPv6; None if no resolver answers."""
    answers: list[Sequence[str]] = []

    def ask() -> None:
        try:
            found = socket.getaddrinfo(domain, None, socket.AF_UNSPEC, socket.SOCK_STREAM)
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
