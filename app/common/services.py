"""The services of the api image: what SERVICE_TYPE may be. Standard library only: the health check reads it too."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """One service: `module` has `run(environment) -> exit status`; `port` is None where it answers no HTTP."""

    module: str
    port: int | None


SERVICES: Mapping[str, Service] = {
    "api": Service("app.api.service", 8000),
    "dashboard": Service("app.dashboard.service", 8001),
    "auth": Service("app.auth.service", 8002),
    "migrate": Service("app.migrate.service", None),
}


def port(name: str) -> int:
    """The port of a service that answers HTTP."""
    found = SERVICES[name].port
    if found is None:
        raise ValueError(f"{name} listens on no port.")
    return found
