"""Ask AWS, before any resource is declared, which zones have what a stack needs."""

from collections import defaultdict

import pulumi
import pulumi_aws as aws

from infra.lib import zones
from infra.lib.aws_limits import INSTANCE_TYPES
from infra.settings import Settings


def zones_of(settings: Settings, provider: aws.Provider) -> tuple[str, ...]:
    """Return the zones of the stack's subnets by name, the host's first. Raises ZoneError."""
    options = pulumi.InvokeOptions(provider=provider)
    try:
        listed = aws.get_availability_zones(
            state="available",
            # Not the Local Zones that an account opted into: they sort before the region's own.
            filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
            opts=options,
        )
        offered = aws.ec2.get_instance_type_offerings(
            location_type="availability-zone",
            filters=[{"name": "instance-type", "values": sorted(INSTANCE_TYPES)}],
            opts=options,
        )
        taken = _zone_of_host_subnet(settings, options)
    except Exception as error:  # noqa: BLE001  the engine raises nothing narrower for what a provider refuses
        raise zones.ZoneError(
            f"AWS could not be asked for the zones of {settings.region}: {error}. If the account has not enabled this "
            "region, enable it or set slipway:region to another; otherwise check the credentials."
        ) from None
    offers: dict[str, set[str]] = defaultdict(set)
    for instance_type, zone in zip(offered.instance_types, offered.locations, strict=True):
        offers[instance_type].add(zone)
    return zones.choose(
        region=settings.region,
        zone_ids=dict(zip(listed.names, listed.zone_ids, strict=True)),
        offers=offers,
        instance_type=settings.host.instance_type,
        count=settings.network.zones,
        taken=taken,
    )


def _zone_of_host_subnet(settings: Settings, options: pulumi.InvokeOptions) -> str | None:
    """Return the zone of the host's subnet if an earlier `up` made it: neither it nor the data volume ever moves."""
    tags = {"Name": f"{settings.prefix}-subnet-0", "Project": settings.project, "Stack": settings.stack}
    found = aws.ec2.get_subnets(
        filters=[{"name": f"tag:{key}", "values": [value]} for key, value in tags.items()], opts=options
    ).ids
    return aws.ec2.get_subnet(id=found[0], opts=options).availability_zone if found else None
