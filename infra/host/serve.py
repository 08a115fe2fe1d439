"""Have a generation serve: after a boot, after a crash of the program, and when something of it is missing."""

from __future__ import annotations

from collections.abc import Mapping

from infra.host import containers, data, docker, front, images, plan
from infra.host.generation import Generation, Placed
from infra.host.graph import Graph
from infra.host.host import Host
from infra.host.outcome import HostError


def prepare_network(host: Host) -> None:
    """Create the containers' network if it is missing, and keep it from the host itself. Raises HostError."""
    found = host.run_docker(docker.inspect_network(host.graph.name))
    if found.code != 0:
        host.must(docker.create_network(host.graph.name, plan.SUBNET), "Creating the network of the containers")
    elif found.stdout.strip() != plan.SUBNET:
        raise HostError(
            f"Docker's network {host.graph.name} has the range {found.stdout.strip()}, but the host's program uses "
            f"{plan.SUBNET}: remove that network."
        )
    front.guard(host)


def upstreams(graph: Graph, services: Mapping[str, Placed]) -> dict[str, str]:
    """Return address:port of each service that the edge may send requests to."""
    return {
        name: f"{placed.address}:{placed.port}"
        for name, placed in services.items()
        if placed.port is not None and not graph.services[name].edge
    }


def ensure(host: Host, generation: Generation) -> list[str]:
    """Start what does not run of a generation, in the order of the graph, and turn the public port to it.

    Needs nothing of AWS while the containers exist. One that cannot be started does not keep the others from starting;
    return a sentence about each.
    """
    problems: list[str] = []
    prepare_network(host)
    for name in host.graph.order:
        if name not in generation.services:
            continue
        try:
            _ensure_one(host, generation, name)
        except HostError as failure:
            problems.append(failure.cause)
            host.say(failure.cause)
    if existing := [name for name in generation.containers if name in host.states(generation.containers)]:
        host.must(docker.promote(existing), "Updating the containers")
    front.turn(host, front.target(generation))
    return problems


def _ensure_one(host: Host, generation: Generation, name: str) -> None:
    service, placed = host.graph.services[name], generation.services[name]
    state = host.states([placed.container]).get(placed.container)
    if state is not None and state.running:
        return
    containers.prepare_credentials(host, service, required=False)
    if state is not None:
        data.prepare(host, service)
        host.say(f"{name}: started again")
        host.must(docker.start(placed.container), f"Starting {name}")
    else:
        host.say(f"{name}: its container is missing, so it is made again")
        images.fetch(host, [placed.image])
        values = containers.secret_values(host, [service], generation.release)
        others = upstreams(host.graph, generation.services)
        containers.create(host, service, placed, generation.release, values, others)
    containers.wait_until_ready(host, service, placed, None)


def serves(host: Host, generation: Generation) -> bool:
    """Return True if all containers of a generation run and the public port leads to its edge, which answers so."""
    states = host.states(generation.containers)
    if not all(name in states and states[name].running for name in generation.containers):
        return False
    where = front.target(generation)
    if where is None:
        return True
    if not front.leads_to(host, where):
        return False
    address = host.machine.own_address()
    return front.look(host, address, host.graph.http_port, front.expected_digests(generation)).problem is None


def remove_leftovers(host: Host, kept: Generation | None) -> None:
    """Remove the stack's containers that a generation does not use."""
    used = kept.containers if kept else ()
    if leftovers := sorted(name for name in host.containers() if name not in used):
        host.must(docker.remove(leftovers), "Removing leftover containers", seconds=120)
