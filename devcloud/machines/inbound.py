"""Hold an instance's security groups: which ports of its interface are open, and to whom. Pure functions.

The rules lie in the host's own network, in the table `mangle`: before Docker and the host's program send a connection
anywhere, and where neither has rules. As on EC2, what no rule opens is dropped without an answer.

An address in a rule (a CIDR) stands for the world, which reaches a host through this machine. A group stands for the
addresses of its members, the tasks that carry it. Rules for what leaves a host or a task are not held.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

CHAIN = "DEVCLOUD-INBOUND"
RESTORE = ("iptables-restore", "--wait", "10")
"""The command that takes the rules: it replaces the tables that its input names, and leaves the others."""
EVERYBODY = "0.0.0.0/0"
PORTED = ("tcp", "udp")
ALL_PROTOCOLS = "-1"
REPLIES = "-m conntrack --ctstate ESTABLISHED,RELATED"


@dataclass(frozen=True)
class Rule:
    """One rule of a security group, for what comes in."""

    protocol: str
    first_port: int | None
    last_port: int | None
    cidr: str | None
    group: str | None

    @classmethod
    def parse(cls, said: Mapping[str, object]) -> "Rule":
        """Return what a description of the emulator's says."""
        fields = json.loads(json.dumps(said))
        return cls(fields["protocol"], fields["from"], fields["to"], fields["cidr"], fields["group"])


Members = Mapping[str, Sequence[str]]
"""The addresses of each security group's members."""


def chain(rules: Sequence[Rule], members: Members, gateway: str) -> str:
    """Return the input for `iptables-restore` that lets in what the rules do. The world comes from `gateway`."""
    opened = dict.fromkeys(line for rule in rules for line in _lines(rule, members, gateway))
    lines = [f"-A {CHAIN} {REPLIES} -j RETURN", *opened, f"-A {CHAIN} -j DROP"]
    return "\n".join(["*mangle", f":{CHAIN} - [0:0]", f"-A PREROUTING -i eth0 -j {CHAIN}", *lines, "COMMIT", ""])


def _lines(rule: Rule, members: Members, gateway: str) -> Iterator[str]:
    what = ""
    if rule.protocol in PORTED:
        what = f" -p {rule.protocol} --dport {rule.first_port}:{rule.last_port}"
    elif rule.protocol != ALL_PROTOCOLS:
        what = f" -p {rule.protocol}"
    for source in _sources(rule, members, gateway):
        yield f"-A {CHAIN}{source}{what} -j RETURN"


def _sources(rule: Rule, members: Members, gateway: str) -> Iterator[str]:
    if rule.cidr == EVERYBODY:
        yield ""
    elif rule.cidr:
        yield f" -s {gateway}/32"
    if rule.group:
        yield from (f" -s {address}/32" for address in sorted(members.get(rule.group, ())))


def members_of(labels: Sequence[str], network: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the addresses of each group's members.

    `labels` are lines of a container's name and its groups; `network` is what Docker says of the cloud's network.
    """
    addresses = {each["Name"]: each["IPv4Address"].partition("/")[0] for each in network.values()}
    found: dict[str, list[str]] = {}
    for line in labels:
        name, _, groups = line.partition(" ")
        for group in groups.split(","):
            if group and name in addresses:
                found.setdefault(group, []).append(addresses[name])
    return found
