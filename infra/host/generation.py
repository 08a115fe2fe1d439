"""A generation: the containers that serve one release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infra.host import release
from infra.host.release import Release


@dataclass(frozen=True)
class Placed:
    """A service's container: its name, its address, and what it was made from."""

    container: str
    address: str
    fingerprint: str
    image: str
    memory_mib: int
    port: int | None


@dataclass(frozen=True)
class Generation:
    """A release and its containers."""

    release: Release
    program: str
    """Path of the program that started it, and knows its graph."""
    services: Mapping[str, Placed]
    """Containers of the services that keep running."""
    edge: str | None
    """The service that is the edge."""
    once: Mapping[str, str]
    """Fingerprints of the services that ran to their end."""
    since: float
    domain: str | None = None
    """The domain that the edge answers for by HTTPS."""

    @property
    def containers(self) -> tuple[str, ...]:
        """Names of its containers."""
        return tuple(placed.container for placed in self.services.values())

    def without(self, other: Generation | None) -> tuple[str, ...]:
        """Return names of its containers that another generation does not use."""
        kept = other.containers if other else ()
        return tuple(name for name in self.containers if name not in kept)

    def to_json(self) -> dict[str, Any]:
        """Return the generation as a JSON object."""
        return {
            "release": self.release.text,
            "program": self.program,
            "services": {name: asdict(placed) for name, placed in self.services.items()},
            "edge": self.edge,
            "once": dict(self.once),
            "since": self.since,
            "domain": self.domain,
        }

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> Generation:
        """Return the generation that `to_json` wrote."""
        return cls(
            release=release.parse(document["release"]),
            program=document["program"],
            services={name: Placed(**placed) for name, placed in document["services"].items()},
            edge=document["edge"],
            once=document["once"],
            since=document["since"],
            domain=document.get("domain"),
        )
