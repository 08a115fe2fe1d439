"""Have a generation serve: after a boot, after a crash of the program, and when something of it is missing."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from infra.host import containers, data, docker, front, images, log_shipping, plan, tls
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
    return {name: f"{placed.address}:{placed.port}" for name, placed in services.items() if graph.services[name].route}


def ensure(host: Host, generation: Generation) -> list[str]:
    """Start what does not run of a generation, in the order of the graph, and turn the public port to it.

    Needs nothing of AWS while the containers exist. One that cannot be started does not keep the others from starting;
    return a sentence about each.
    """
    prepare_network(host)
    problems = _start_missing(host, generation)
    if existing := [name for name in generation.containers if name in host.states(generation.containers)]:
        host.must(docker.promote(existing), "Updating the containers")
    front.turn(host, front.target(generation))
    return problems


def start_stopped(host: Host, generation: Generation) -> None:
    """Start the containers of a generation that a release had to stop, such as a database's."""
    states = host.states(generation.containers)
    _start_missing(host, generation, [name for name, one in generation.services.items() if one.container in states])


def _start_missing(host: Host, generation: Generation, names: Collection[str] | None = None) -> list[str]:
    """Start what does not run of a generation's services, or of some, and return a sentence about each that fails."""
    problems: list[str] = []
    lacking: set[str] = set()
    for name in host.graph.order:
        # Without its database a service never gets ready: it is started, and not waited for.
        waits = not lacking & set(host.graph.services[name].after)
        if not waits:
            lacking.add(name)
        if name not in (generation.services if names is None else names):
            continue
        try:
            _ensure_one(host, generation, name, waits=waits)
        except HostError as failure:
            lacking.add(name)
            problems.append(failure.cause)
            host.say(failure.cause)
    return problems


def _ensure_one(host: Host, generation: Generation, name: str, *, waits: bool) -> None:
    service, placed = host.graph.services[name], generation.services[name]
    state = host.states([placed.container]).get(placed.container)
    if state is not None and state.running:
        return
    containers.prepare_credentials(host, service, required=False)
    if state is not None:
        data.prepare(host, service)
        tls.prepare(host, service, placed.image)
        host.say(f"{name}: started again")
        host.must(docker.start(placed.container), f"Starting {name}")
    else:
        host.say(f"{name}: its container is missing, so it is made again")
        images.fetch(host, [placed.image])
        values = containers.secret_values(host, [service], generation.release)
        others = upstreams(host.graph, generation.services)
        containers.create(host, service, placed, generation.release, values, others)
    if waits:
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
    return front.look(host, front.public(host, generation), front.expected_digests(generation)).problem is None


def remove_leftovers(host: Host, kept: Generation | None) -> None:
    """Send the logs of the stack's containers that a generation does not use, and remove them."""
    used = kept.containers if kept else ()
    if leftovers := sorted(name for name in host.containers() if name not in used):
        log_shipping.ship(host, leftovers)
        host.must(docker.remove(leftovers), "Removing leftover containers", seconds=120)
