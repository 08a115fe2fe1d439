"""The front door: turn the public port to an edge, and ask through it what serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.host import containers, firewall, plan, probes, tls
from infra.host.firewall import Jump, Target
from infra.host.generation import Generation, Placed
from infra.host.host import Host
from infra.host.outcome import HostError
from infra.host.release import digest_of

REQUESTS = 10
EDGE_SECONDS = 10.0
"""How long a new edge is asked until all routes answer: it is ready, but its first connections are still to be made."""


def target(generation: Generation | None) -> Target | None:
    """Return where the public port should lead; None without a generation, or without an edge."""
    if generation is None or generation.edge is None:
        return None
    placed = generation.services[generation.edge]
    assert placed.port is not None  # noqa: S101 - for mypy: product.yaml refuses an edge without a port
    return Target(placed.address, placed.port, secure=generation.domain is not None)


def turn(host: Host, where: Target | None) -> None:
    """Turn the public port to a target, or to nothing, at once for all new connections. Raises HostError."""
    given = firewall.rules(host.graph.http_port, where)
    host.must(firewall.RESTORE, "Turning the public port", given=given)
    _add(host, firewall.JUMPS)
    guard(host)


def guard(host: Host) -> None:
    """Keep the containers from the host's own ports and from the metadata service. Raises HostError."""
    host.must(firewall.RESTORE, "Keeping the containers from the host", given=firewall.guard(plan.SUBNET))
    _add(host, firewall.GUARD_JUMPS)


def _add(host: Host, jumps: Sequence[Jump]) -> None:
    for jump in jumps:
        if host.machine.run(jump.check()).code != 0:
            host.must(jump.insert(), f"Adding the rule to {jump.chain}")


def leads_to(host: Host, where: Target) -> bool:
    """Return True if the public port leads to a target, and the containers are kept from the host."""
    listed = host.machine.run(firewall.listing())
    in_place = listed.code == 0 and firewall.leads_to(listed.stdout, host.graph.http_port, where)
    return in_place and all(
        host.machine.run(jump.check()).code == 0 for jump in (*firewall.JUMPS, *firewall.GUARD_JUMPS)
    )


@dataclass(frozen=True)
class Door:
    """An address that an edge answers at; by HTTPS if there is a domain."""

    address: str
    port: int
    domain: str | None = None


def public(host: Host, generation: Generation | None) -> Door:
    """Return the public port that people use: of HTTPS once the domain has its certificate, else of HTTP."""
    address = host.machine.own_address()
    if generation and generation.domain and tls.answers(host, address, generation.domain):
        return Door(address, firewall.HTTPS, generation.domain)
    return Door(address, host.graph.http_port)


@dataclass(frozen=True)
class Seen:
    """The answers at an address."""

    digests: Mapping[str, str]
    """By service; those that answered with the header."""
    problem: str | None
    """A sentence about the first service that does not serve what it should."""
    reachable: bool


def look(host: Host, door: Door, expected: Mapping[str, str]) -> Seen:
    """Ask for the health of the edge and of each route, given the digests that should answer."""
    digests: dict[str, str] = {}
    problem, reachable = None, False
    for service in host.graph.visible:
        if service.name not in expected:
            continue
        try:
            answer = host.machine.get(
                door.address, door.port, service.health_path, containers.ANSWER_SECONDS, door.domain
            )
        except OSError as error:
            wrong: str | None = f"got no answer ({error})"
        else:
            reachable = True
            if found := answer.headers.get(probes.DIGEST_HEADER):
                digests[service.name] = found
            wrong = probes.wrong_digest(answer, expected[service.name])
        if wrong and problem is None:
            problem = f"{service.name}: GET {service.health_path} at {door.address}:{door.port} {wrong}."
    return Seen(digests, problem, reachable)


def expected_digests(generation: Generation) -> dict[str, str]:
    """Return the digest that each service of a generation should answer with."""
    return {name: digest_of(placed.image) for name, placed in generation.services.items()}


def verify_edge(host: Host, generation: Generation, started: Mapping[str, Placed]) -> None:
    """Ask through the edge of a generation, at its own address, for every route. Raises HostError.

    `started` are its new containers: one that has ended is the cause, whatever the edge answers.
    """
    where = target(generation)
    if where is None:
        return
    end = host.machine.now() + EDGE_SECONDS
    while True:
        seen = look(host, Door(where.address, where.port), expected_digests(generation))
        if seen.problem is None:
            return
        containers.check_running(host, started, host.graph.services)
        if host.machine.now() >= end:
            raise HostError(f"Through the new edge, {seen.problem}", service=seen.problem.partition(":")[0])
        host.machine.sleep(containers.POLL_SECONDS)


def watch(host: Host, generation: Generation, started: tuple[str, ...]) -> None:
    """Ask through the public port for some seconds, and see that no new container dies. Raises HostError."""
    placed = {name: generation.services[name] for name in started}
    visible = [service for service in host.graph.visible if service.name in generation.services]
    expected = expected_digests(generation)
    door = public(host, generation)
    for number in range(REQUESTS):
        if visible:
            service = visible[number % len(visible)]
            seen = look(host, door, {service.name: expected[service.name]})
            if seen.problem is not None:
                containers.check_running(host, placed, host.graph.services)
                raise HostError(f"Through the public port, {seen.problem}", service=service.name)
        host.machine.sleep(host.graph.seconds.watch / REQUESTS)
    containers.check_running(host, placed, host.graph.services)
