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

    @property
    def exclusive(self) -> bool:
        """Whether only one container of it may run: others reach it by its name, such as a database."""
        return not self.once and not self.edge and self.ready is None

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
class Seconds:
    """The limits of a release's steps."""

    pull: float
    once: float
    ready: float
    steady: float
    watch: float
    request: float
    """The longest request: an edge that stops and a container that stops are given this long."""


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
    memory_mib: int
    """Memory that all containers together may have."""
    seconds: Seconds
    data_volume: DataVolume
    services: Mapping[str, Service]

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
        memory_mib=document["memoryMib"],
        seconds=Seconds(**document["seconds"]),
        data_volume=DataVolume(**document["dataVolume"]),
        services={name: _service(name, entry) for name, entry in sorted(document["services"].items())},
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
    )
