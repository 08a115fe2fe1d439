"""Check that a stack's services fit into the memory of its host, also while a release is under way."""

from collections.abc import Iterator
from dataclasses import dataclass

from infra.lib.aws_limits import INSTANCE_TYPES
from infra.settings.models import Settings

SYSTEM_MIB = 450
"""Memory of the system, the SSM agent and Docker, with some page cache: about 345 MiB at rest.

Those are an estimate: no instance of AWS's was measured. The rest also covers a type that offers less than assumed.
"""


@dataclass(frozen=True)
class MemoryPlan:
    """Limits of containers, added up, in MiB."""

    running: int
    """The services that keep running."""
    added: int
    """The most that a release of all services adds: the new ones beside the old, or before them what runs once."""

    @property
    def needed(self) -> int:
        """Memory that the host must offer."""
        return self.running + self.added + SYSTEM_MIB


def plan(settings: Settings) -> MemoryPlan:
    """Return the memory plan of a stack."""
    services = settings.services.values()
    serving = [service for service in services if not service.once]
    # A stateful service has no second copy, and what runs once has ended before the new services start.
    beside = sum(service.memory_limit_mib for service in serving if not service.stateful)
    once = max((service.memory_limit_mib for service in services if service.once), default=0)
    return MemoryPlan(sum(service.memory_limit_mib for service in serving), max(beside, once))


def host_mib(settings: Settings) -> int:
    """Return the memory that the host is assumed to offer."""
    return INSTANCE_TYPES[settings.host.instance_type].usable_mib


def containers_mib(settings: Settings) -> int:
    """Return the memory that all containers of the host together may have."""
    return host_mib(settings) - SYSTEM_MIB


def problems(settings: Settings) -> Iterator[str]:
    """Yield a sentence if the services do not fit."""
    name, need = settings.host.instance_type, plan(settings)
    usable = host_mib(settings)
    if need.needed <= usable:
        return
    larger = [other for other, kind in INSTANCE_TYPES.items() if kind.usable_mib >= need.needed]
    remedy = f"set a type with more memory, such as {larger[0]}, or lower" if larger else "lower"
    yield (
        f'{settings.project}:host.instanceType is "{name}", which offers {usable:,} MiB of memory, but the services '
        f"need {need.needed:,} ({need.running:,} for what runs, {need.added:,} for a release beside it, {SYSTEM_MIB} "
        f"for the system and Docker); {remedy} memory_mib of services in product.yaml."
    )
