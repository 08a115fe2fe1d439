"""Turn the public port to an edge: the rules of iptables, as pure functions.

A chain of our own in the table `nat` sends new connections to one container, and one in `filter` accepts them. A chain
is replaced as a whole, in one commit, so a connection meets either the old rule or the new one. Connections that are
open keep their edge, because the kernel looks at `nat` only for their first packet. The rule leads to the container
itself: with a published port Docker's proxy would give all clients one address.
"""

from __future__ import annotations

from dataclasses import dataclass

CHAIN, GUARD = "SLIPWAY", "SLIPWAY-GUARD"
WAIT = ("--wait", "10")
"""Seconds to wait for another program that changes the rules, such as Docker."""
RESTORE = ["iptables-restore", "--noflush", *WAIT]
HTTP, HTTPS = 80, 443
"""The public ports of an edge with a domain, which are also its own."""
LOCAL = ("-m", "addrtype", "--dst-type", "LOCAL")
METADATA, RESOLVER = "169.254.169.254", "169.254.169.253"
"""AWS's addresses of the metadata service and of its resolver."""


@dataclass(frozen=True)
class Target:
    """The container and port that the public port leads to."""

    address: str
    port: int
    """The port of its plain HTTP; with a domain the host alone asks it there."""
    secure: bool = False
    """Whether it has a domain, and so the public ports of HTTP and HTTPS."""

    def doors(self, public_port: int) -> tuple[tuple[int, int], ...]:
        """Return pairs of a public port and the container's port that it leads to."""
        return ((HTTP, HTTP), (HTTPS, HTTPS)) if self.secure else ((public_port, self.port),)


def rules(public_port: int, target: Target | None) -> str:
    """Return the input for `iptables-restore` that turns the public port to a target, or to nothing."""
    nat, accept = [], []
    if target is not None:
        for public, port in target.doors(public_port):
            nat.append(f"-A {CHAIN} -p tcp -m tcp --dport {public} -j DNAT --to-destination {target.address}:{port}")
            accept.append(f"-A {CHAIN} -d {target.address}/32 -p tcp -m tcp --dport {port} -j ACCEPT")
    return "".join(
        f"*{table}\n:{CHAIN} - [0:0]\n" + "".join(f"{line}\n" for line in lines) + "COMMIT\n"
        # Accepted before it is sent there: a packet never meets one half.
        for table, lines in (("filter", accept), ("nat", nat))
    )


def guard(containers: str) -> str:
    """Return the input for `iptables-restore` that keeps the containers' network from the host itself.

    They reach none of its ports, at none of its addresses, and not the metadata service, whose credentials are the
    host's. The public port leads to a container before these rules are met.
    """
    lines = (
        f"! -s {containers} -j RETURN",
        f"-m conntrack --ctorigdst {METADATA} -j REJECT",
        # Answers to the host's own requests are no new connections.
        "-m conntrack --ctstate ESTABLISHED,RELATED -j RETURN",
        *(f"-d {RESOLVER} -p {protocol} -m {protocol} --dport 53 -j RETURN" for protocol in ("udp", "tcp")),
        f"{' '.join(LOCAL)} -j REJECT",
    )
    return f"*filter\n:{GUARD} - [0:0]\n" + "".join(f"-A {GUARD} {line}\n" for line in lines) + "COMMIT\n"


def listing() -> list[str]:
    """Return the command that prints the rule in `nat`."""
    return ["iptables", *WAIT, "-t", "nat", "-S", CHAIN]


def leads_to(listed: str, public_port: int, target: Target) -> bool:
    """Return True if the listed rules turn the public port to a target, and no other port to another."""
    found = [line.partition("--dport ")[2].strip() for line in listed.splitlines() if "--dport " in line]
    return found == [
        f"{public} -j DNAT --to-destination {target.address}:{port}" for public, port in target.doors(public_port)
    ]


@dataclass(frozen=True)
class Jump:
    """A jump to a chain of ours from one of the kernel's or Docker's."""

    table: str
    chain: str
    match: tuple[str, ...] = ()
    to: str = CHAIN

    def check(self) -> list[str]:
        """Return the command that fails if the jump is missing."""
        return ["iptables", *WAIT, "-t", self.table, "-C", self.chain, *self.match, "-j", self.to]

    def insert(self) -> list[str]:
        """Return the command that adds the jump. It is the first: DOCKER-USER ends with a return."""
        return ["iptables", *WAIT, "-t", self.table, "-I", self.chain, "1", *self.match, "-j", self.to]


JUMPS = (
    Jump("filter", "DOCKER-USER"),
    Jump("nat", "PREROUTING", LOCAL),
    # The host's own requests to its public port; loopback cannot be redirected to another address.
    Jump("nat", "OUTPUT", ("!", "-d", "127.0.0.0/8", *LOCAL)),
)
GUARD_JUMPS = (Jump("filter", "INPUT", to=GUARD), Jump("filter", "DOCKER-USER", to=GUARD))
