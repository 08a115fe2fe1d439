"""Plan a release: which containers keep running, which start, and where. Pure functions."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from infra.host.generation import Generation, Placed
from infra.host.graph import Graph, Service
from infra.host.outcome import HostError
from infra.host.release import Release

SUBNET = "172.29.231.0/24"
"""The containers' network. Its own range: a VPC of a stack is 10.20.0.0/16, and Docker's default is 172.17.0.0/16."""
FIRST, LAST = 10, 250


@dataclass(frozen=True)
class Plan:
    """The changes that a release makes."""

    release: Release
    once: tuple[str, ...]
    """Services that run to their end."""
    keep: Mapping[str, Placed]
    """Containers that keep running."""
    start: Mapping[str, Placed]
    """Containers that start beside those that run, or run once, in the order of the graph."""
    fingerprints: Mapping[str, str]

    def generation(self, graph: Graph, program: str, now: float) -> Generation:
        """Return the containers that serve once the release does."""
        started = {name: placed for name, placed in self.start.items() if name not in self.once}
        return Generation(
            release=self.release,
            program=program,
            services={**self.keep, **started},
            edge=graph.edge.name if graph.edge else None,
            once={name: self.fingerprints[name] for name, service in graph.services.items() if service.once},
            since=now,
            domain=graph.tls.domain if graph.tls and graph.edge else None,
        )


def plan(graph: Graph, release: Release, current: Generation | None, running: Collection[str]) -> Plan:
    """Return the plan for a release, given the current generation and the names of containers that run.

    Raises HostError if the release and the graph do not name the same services, or the memory does not suffice.
    """
    _same_services(graph, release)
    prints = {name: fingerprint(service, release) for name, service in graph.services.items()}
    serving = dict(current.services) if current else {}
    keep = {
        name: placed
        for name, placed in serving.items()
        if name in graph.services
        and not graph.services[name].edge
        and placed.fingerprint == prints[name]
        and placed.container in running
    }
    once: list[str] = []
    anew: list[str] = []
    ran = current.once if current else {}
    for name in graph.order:
        service = graph.services[name]
        if service.once:
            if ran.get(name) != prints[name] or any(other in anew for other in service.after):
                once.append(name)
                anew.append(name)
        elif name not in keep:
            anew.append(name)
    addresses = free_addresses([placed.address for placed in serving.values()])
    start = {
        name: Placed(
            container=f"{graph.name}-{release.id}-{name}",
            address=next(addresses),
            fingerprint=prints[name],
            image=release.images[name],
            memory_mib=graph.services[name].memory_mib,
            port=graph.services[name].port,
        )
        for name in anew
    }
    made = Plan(release, tuple(once), keep, start, prints)
    _check_memory(graph, made, serving)
    return made


def fingerprint(service: Service, release: Release) -> str:
    """Return a hash of all that a container is made from; an equal one means that it can keep running."""
    made_from = [
        *(release.images[service.name], service.memory_mib, service.port, service.user, service.role, service.volume),
        *(service.published, service.command, service.tmpfs, service.on_start),
        *(dict(service.environment), {name: [key, release.secrets[key]] for name, key in service.secrets.items()}),
    ]
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def free_addresses(taken: Collection[str]) -> Iterator[str]:
    """Yield addresses of the network that are not taken, after the highest one that is.

    Addresses are not reused at once: a client's stale connection must not reach another service.
    """
    base = int(ipaddress.ip_network(SUBNET).network_address)
    used = {int(ipaddress.ip_address(address)) - base for address in taken}
    after = max(used, default=FIRST - 1) + 1
    for number in (*range(after, LAST + 1), *range(FIRST, after)):
        if number not in used:
            yield str(ipaddress.ip_address(base + number))


def added_memory(made: Plan) -> int:
    """Return the most memory, in MiB, that new containers use at once.

    Services that run once end before the others start.
    """
    limits = {name: placed.memory_mib for name, placed in made.start.items()}
    once = max((limits[name] for name in made.once), default=0)
    return max(once, sum(limit for name, limit in limits.items() if name not in made.once))


def _same_services(graph: Graph, release: Release) -> None:
    if missing := sorted(graph.services.keys() - release.images.keys()):
        raise HostError(
            f"The release has no image for {', '.join(missing)}, which the host's graph names: deploy again."
        )
    if unknown := sorted(release.images.keys() - graph.services.keys()):
        raise HostError(f"The release names {', '.join(unknown)}, which the host's graph does not: deploy again.")
    for service in graph.services.values():
        if absent := sorted(set(service.secrets.values()) - release.secrets.keys()):
            raise HostError(
                f"The release has no version of {', '.join(absent)}, a secret of {service.name}: deploy again."
            )


def _check_memory(graph: Graph, made: Plan, serving: Mapping[str, Placed]) -> None:
    """Raise HostError if the limits of what runs and of what the release adds exceed the containers' memory."""
    stopped_first = {name for name in made.start if graph.services[name].stateful}
    running = sum(placed.memory_mib for name, placed in serving.items() if name not in stopped_first)
    added = added_memory(made)
    if running + added > graph.memory_mib:
        raise HostError(
            f"The release needs {added} MiB beside the {running} MiB of what runs, but the host's containers may have "
            f"{graph.memory_mib} MiB together: lower memory_mib in product.yaml, or set a larger host.instanceType."
        )
