"""The graph of services: what each container is given, and what it waits for.

The program carries it as `graph.json`, made from product.yaml and the stack's settings.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

SCHEMA = 1


@dataclass(frozen=True)
class Probe:
    """A route of a service, and the statuses that it may answer with."""

    path: str
    status: tuple[int, ...]


@dataclass(frozen=True)
class Service:
    """A container of the host."""

    name: str
    image: str
    """The repository of its images; of an image from outside the whole reference. A release may name no other."""
    memory_mib: int
    once: bool = False
    """Whether it runs to its end, such as a migration."""
    edge: bool = False
    """Whether the world talks to it, and it to the others."""
    port: int | None = None
    user: int | None = None
    ready: str | None = None
    """The path that answers 200 once it can work. Without one, it is ready when it accepts connections."""
    health: str = "/health"
    route: str | None = None
    strip: bool = True
    probes: tuple[Probe, ...] = ()
    after: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Names of variables, with the names of the parameters that hold their values."""
    role: str | None = None
    volume: str | None = None
    """The folder in the container that outlasts it."""
    stateful: bool = False
    """Whether only one container of it may run: others reach it by its name, such as a database."""
    published: bool = False
    """Whether its port is reached at the host's private address too."""
    command: tuple[str, ...] = ()
    """The command of its container; empty for its image's own."""
    check: tuple[str, ...] = ()
    """The command that ends with 0 in its container once it can work."""
    on_start: tuple[str, ...] = ()
    """The command that is run in its container each time that it was started and is ready."""
    tmpfs: tuple[str, ...] = ()
    dump: tuple[str, ...] = ()
    """The command that writes all its data to the standard output; empty if it is not backed up."""
    restore: tuple[str, ...] = ()
    """The command that replaces its data by a dump from the standard input."""

    @property
    def health_path(self) -> str:
        """The path of its health through the edge."""
        return f"{self.route}{self.health}" if self.route and self.strip else self.health


@dataclass(frozen=True)
class DataVolume:
    """The EBS volume of the services' data."""

    id: str
    device: str
    """Its name in EC2's API, such as /dev/sdf."""


@dataclass(frozen=True)
class Tls:
    """The domain that the edge answers for by HTTPS."""

    domain: str
    directory: str
    """Address of the ACME server's directory."""
    root: str | None
    """Certificate, in PEM, that the server's own comes from if that is a private one."""


@dataclass(frozen=True)
class Seconds:
    """The limits of a release's steps."""

    agent: float
    """How long a first boot may take until Docker is ready; the gate waits as long for the agent."""
    pull: float
    once: float
    ready: float
    steady: float
    watch: float
    certificate: float
    """How long the certificate of a domain that has none yet is waited for."""
    request: float
    """The longest request: an edge that stops and a container that stops are given this long."""


@dataclass(frozen=True)
class Updates:
    """The weekly window of security updates, in UTC."""

    day: str
    """In systemd's words, such as Sun."""
    hour: int


@dataclass(frozen=True)
class Backups:
    """The nightly dump."""

    hour: int
    """In UTC."""
    keep: int
    """How many dumps are kept."""


@dataclass(frozen=True)
class Graph:
    """All services of a stack's host."""

    name: str
    region: str
    document: str
    parameter: str
    parameter_path: str
    log_group: str
    http_port: int
    host_address: str
    """The host's private address."""
    memory_mib: int
    """Memory that all containers together may have."""
    host_memory_mib: int
    """Memory of the host in all, as its plan assumes."""
    seconds: Seconds
    updates: Updates | None
    """None if they are off."""
    backups: Backups
    data_volume: DataVolume
    services: Mapping[str, Service]
    tls: Tls | None

    @property
    def edge(self) -> Service | None:
        """The service that the world talks to."""
        return next((service for service in self.services.values() if service.edge), None)

    @property
    def order(self) -> tuple[str, ...]:
        """The services, each after those that it waits for; the edge is the last."""
        waits = {name: sorted(service.after) for name, service in sorted(self.services.items())}
        ordered = list(TopologicalSorter(waits).static_order())
        return tuple(sorted(ordered, key=lambda name: self.services[name].edge))

    @property
    def visible(self) -> tuple[Service, ...]:
        """The services whose health can be asked through the edge, and the edge itself."""
        return tuple(service for service in self.services.values() if service.edge or service.route)


def parse(document: Mapping[str, Any]) -> Graph:
    """Return the graph that a document describes. Raises ValueError if it is of another schema."""
    if document["schema"] != SCHEMA:
        raise ValueError(f"graph.json has schema {document['schema']}, but this program reads {SCHEMA}.")
    return Graph(
        name=document["name"],
        region=document["region"],
        document=document["document"],
        parameter=document["parameter"],
        parameter_path=document["parameterPath"],
        log_group=document["logGroup"],
        http_port=document["httpPort"],
        host_address=document["hostAddress"],
        memory_mib=document["memoryMib"],
        host_memory_mib=document["hostMemoryMib"],
        seconds=Seconds(**document["seconds"]),
        updates=Updates(**document["updates"]) if document["updates"] else None,
        backups=Backups(**document["backups"]),
        data_volume=DataVolume(**document["dataVolume"]),
        services={name: _service(name, entry) for name, entry in sorted(document["services"].items())},
        tls=Tls(**document["tls"]) if document["tls"] else None,
    )


def packed() -> Graph:
    """Return the graph that this program was packed with."""
    data = pkgutil.get_data("infra.host", "graph.json")
    if data is None:
        raise ValueError("graph.json is missing: run the packed program, not its source.")
    return parse(json.loads(data))


def _service(name: str, entry: Mapping[str, Any]) -> Service:
    return Service(
        name=name,
        image=entry["image"],
        memory_mib=entry["memoryMib"],
        once=entry["once"],
        edge=entry["edge"],
        port=entry["port"],
        user=entry["user"],
        ready=entry["ready"],
        health=entry["health"],
        route=entry["route"],
        strip=entry["strip"],
        probes=tuple(Probe(probe["path"], tuple(probe["status"])) for probe in entry["probes"]),
        after=entry["after"],
        environment=entry["environment"],
        secrets=entry["secrets"],
        role=entry["role"],
        volume=entry["volume"],
        stateful=entry["stateful"],
        published=entry["published"],
        command=tuple(entry["command"]),
        check=tuple(entry["check"]),
        on_start=tuple(entry["onStart"]),
        tmpfs=tuple(entry["tmpfs"]),
        dump=tuple(entry["dump"]),
        restore=tuple(entry["restore"]),
    )
