"""The graph of services that the host's program runs: a pure function of product, settings and wiring.

`infra/host/graph.py` reads it. It holds no digest and no secret: the release names those.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.product import Service, environment_variable
from infra.settings import Settings
from infra.settings.hosted import worker_services
from infra.settings.memory import containers_mib, host_mib

SCHEMA = 1
DATA_DEVICE = "/dev/sdf"
"""The name under which the data volume is attached."""
MADE_FROM = ("port", "memoryMib", "user", "volume", "published", "command", "tmpfs", "onStart", "environment")
"""Keys of a service in the graph that its container is made from, as in infra/host/plan.py."""
DIGITS_OF_AN_ACCOUNT = "000000000000"


@dataclass(frozen=True)
class Wiring:
    """The addresses of the stack's resources that the graph names."""

    data_volume_id: str
    """Id of the volume that holds what must outlast the host."""
    queue_url: str | None = None
    """Address of the jobs' queue, if the product has a worker."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """ARN of each service's role, for those that may do something on AWS."""
    repositories: Mapping[str, str] = field(kw_only=True)
    """Address of each image's repository, for the images that the host runs."""


def document_name(settings: Settings) -> str:
    """Return the name of the SSM document with the host's program."""
    return f"{settings.prefix}-host"


def release_parameter(settings: Settings) -> str:
    """Return the name of the SSM parameter with the current release."""
    return f"{settings.parameter_path}/release"


def verified_parameter(settings: Settings) -> str:
    """Return the name of the SSM parameter with the images that were verified."""
    return f"{settings.parameter_path}/verified"


def log_group(settings: Settings) -> str:
    """Return the name of the log group of the host's containers."""
    return f"/{settings.prefix}/api"


def role_name(settings: Settings, service: str) -> str:
    """Return the name of a service's role."""
    return f"{settings.prefix}-host-{service}"


def stand_in(settings: Settings) -> Wiring:
    """Return wiring as long as the real one, which a first `up` knows only once the resources are there."""
    registry = settings.registry.address or f"{DIGITS_OF_AN_ACCOUNT}.dkr.ecr.{settings.region}.amazonaws.com"
    return Wiring(
        f"vol-{0:017x}",
        f"https://sqs.{settings.region}.amazonaws.com/{DIGITS_OF_AN_ACCOUNT}/{settings.prefix}-jobs",
        {
            name: f"arn:aws:iam::{DIGITS_OF_AN_ACCOUNT}:role/{role_name(settings, name)}"
            for name, service in settings.services.items()
            if service.permissions
        },
        repositories={
            image: f"{registry}/{settings.registry.namespace}/{image}" for image in settings.product.host_images
        },
    )


def graph(settings: Settings, wiring: Wiring) -> dict[str, object]:
    """Return the graph as the host's program is packed with it."""
    times, updates, backups = settings.host.release, settings.host.updates, settings.host.backups
    # Without digests these are the repositories, and the whole references of images from outside.
    images = references(settings, wiring.repositories)
    return {
        "schema": SCHEMA,
        "name": settings.prefix,
        "region": settings.region,
        "document": document_name(settings),
        "parameter": release_parameter(settings),
        "parameterPath": settings.parameter_path,
        "logGroup": log_group(settings),
        "hostAddress": settings.network.host_address,
        "httpPort": settings.host.http_port,
        "memoryMib": containers_mib(settings),
        "hostMemoryMib": host_mib(settings),
        "seconds": {
            "agent": times.agent_seconds,
            "pull": times.pull_seconds,
            "once": times.once_seconds,
            "ready": times.ready_seconds,
            "steady": times.steady_seconds,
            "watch": times.watch_seconds,
            "certificate": times.certificate_seconds,
            "request": settings.product.longest_request_seconds,
        },
        "updates": {"day": updates.day, "hour": updates.hour} if updates.enabled else None,
        "backups": {"hour": backups.hour, "keep": backups.keep},
        "dataVolume": {"id": wiring.data_volume_id, "device": DATA_DEVICE},
        "tls": _tls(settings),
        "services": {name: {"image": images[name], **_service(settings, wiring, name)} for name in settings.services},
    }


def references(settings: Settings, images: Mapping[str, str]) -> dict[str, str]:
    """Return the image of each service as `repository@digest`, given those of the product's own images."""
    return {
        name: images[service.image] if service.image else _by_digest(settings.images.parents[str(service.external)])
        for name, service in settings.services.items()
    }


def _tls(settings: Settings) -> dict[str, object] | None:
    """Return the domain and the ACME server that the edge is told; None without a domain."""
    host = settings.host
    if host.domain is None:
        return None
    return {"domain": host.domain, "directory": host.acme_directory, "root": host.acme_root}


def single_services(settings: Settings) -> dict[str, dict[str, object]]:
    """Return, for each service that runs only once, the values that its container is made from.

    A change of one of them restarts the service.
    """
    wiring = stand_in(settings)
    found = {}
    for name, service in settings.services.items():
        if service.stateful:
            described = _service(settings, wiring, name)
            image = _by_digest(settings.images.parents[service.external]) if service.external else str(service.image)
            found[name] = {key: described[key] for key in MADE_FROM} | {"image": image}
    return found


def _by_digest(reference: str) -> str:
    """Return a reference without its tag: Docker lists what it pulled by digest without one."""
    return re.sub(r":[^:/@]+@", "@", reference)


def _service(settings: Settings, wiring: Wiring, name: str) -> dict[str, object]:
    service = settings.services[name]
    return {
        "once": service.once,
        "edge": service.edge,
        "port": service.port,
        "memoryMib": service.memory_limit_mib,
        "stateful": service.stateful,
        "published": name in worker_services(settings),
        "command": list(service.command),
        "check": list(service.check),
        "onStart": list(service.on_start),
        "tmpfs": list(service.tmpfs),
        "dump": list(service.backup.dump) if service.backup else [],
        "restore": list(service.backup.restore) if service.backup else [],
        "user": service.user,
        "ready": _ready(service),
        "health": service.health,
        "route": service.route.path if service.route else None,
        "strip": service.route.strip if service.route else False,
        "probes": [{"path": probe.path, "status": list(probe.status)} for probe in service.probes],
        # A database that is elsewhere is not waited for.
        "after": {other: until for other, until in service.after.items() if other in settings.services},
        "environment": _environment(settings, wiring, name),
        "secrets": {
            service.secret_variables.get(secret, environment_variable(secret)): secret for secret in service.secrets
        },
        "role": wiring.roles.get(name),
        "volume": service.volume,
    }


def _ready(service: Service) -> str | None:
    """Return the path on which a service is ready; None for one that is asked otherwise, such as a database."""
    if service.once or service.port is None or service.external or service.check:
        return service.ready
    return service.ready or service.health


def _environment(settings: Settings, wiring: Wiring, name: str) -> dict[str, str]:
    """Return the plain environment of a service: no more than it needs."""
    service = settings.services[name]
    environment = {environment_variable(variable): settings.variable(variable) for variable in service.variables}
    environment |= service.environment
    if service.external:
        return environment
    if service.port:
        environment["PORT"] = str(service.port)
    if service.edge:
        return environment  # the host tells the edge where the others are
    environment |= {"SERVICE_TYPE": name, "AWS_REGION": settings.region}
    if wiring.queue_url and {"jobs:send", "jobs:count", "jobs:work"} & set(service.permissions):
        environment["JOBS_QUEUE_URL"] = wiring.queue_url
    if "release:read" in service.permissions:
        environment["VERIFIED_PARAMETER"] = verified_parameter(settings)
    return environment
