"""Choose the zones of a stack's new subnets: each with Fargate, the first also with the host's instance type."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from infra.lib.errors import InputError

FARGATE_ZONE_IDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "ap-northeast-1": frozenset({"apne1-az1", "apne1-az2", "apne1-az4"}),
        "us-west-1": frozenset({"usw1-az1", "usw1-az3"}),
    }
)
"""The zones that have Fargate for Linux, by region. A region that is not listed has it in every zone.

Source: Amazon ECS developer guide, "Supported Regions for Amazon ECS on AWS Fargate", read in 2026-11. Zone names
differ from account to account, zone ids do not.
"""


class ZoneError(InputError):
    """No zone of the region has what the stack needs."""


def choose(
    *,
    project: str,
    region: str,
    zone_ids: Mapping[str, str],
    offers: Mapping[str, Collection[str]],
    instance_type: str,
    count: int,
    host_zone: str | None = None,
) -> tuple[str, ...]:
    """Return `count` zones by name, the host's first; a zone repeats if the region has fewer.

    `zone_ids` maps the names of the region's zones to their ids; `offers` maps each instance type that the host may
    have to the zones that offer it. `host_zone` is the zone of the host's subnet if there is one: it does not move.
    Raises ZoneError with one sentence that says which type to set instead.
    """
    fargate = FARGATE_ZONE_IDS.get(region)
    usable = [name for name, zone_id in sorted(zone_ids.items()) if fargate is None or zone_id in fargate]
    if not usable:
        raise ZoneError(
            f"{project}:region is {region}, but none of the zones that this account has there "
            f"({_listed(zone_ids) or 'none'}) has Fargate, which the worker runs on; set another region."
        )
    candidates = [host_zone] if host_zone else usable
    hosts = [zone for zone in candidates if zone in offers.get(instance_type, ())]
    if not hosts:
        there = f"{host_zone}, the zone of the host's subnet, does not offer" if host_zone else ""
        there = there or f"no zone of {region} with Fargate offers"
        raise ZoneError(f"{project}:{_not_offered(there, instance_type, offers, candidates)}")
    host = hosts[0]
    others = [zone for zone in usable if zone != host]
    row = (host, *others)
    return tuple(row[number % len(row)] for number in range(count))


def _not_offered(
    there: str, instance_type: str, offers: Mapping[str, Collection[str]], candidates: Sequence[str]
) -> str:
    others = [name for name, zones in offers.items() if any(zone in zones for zone in candidates)]
    # t3.small is what takes the place of t2.small: the same memory, at less cost.
    others.sort(key=lambda name: (name != "t3.small", name))
    remedy = f"set {others[0]}" if others else "set another region"
    if others[1:]:
        remedy += f" (or {', '.join(others[1:])})"
    return f"host.instanceType is {instance_type}, but {there} it; {remedy}."


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
