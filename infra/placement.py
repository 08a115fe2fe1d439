"""Ask AWS which zones it has and which instance types they offer, before any resource is declared."""

from collections import defaultdict

import pulumi
import pulumi_aws as aws

from infra.lib import zones
from infra.lib.aws_limits import INSTANCE_TYPES
from infra.lib.messages import plain
from infra.settings import Settings

MOST_OF_AN_ERROR = 300
"""Characters of a provider's error that a message repeats."""


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
        host_zones = _zones_of_host_subnet(settings, options)
    except Exception as error:  # noqa: BLE001  the engine raises nothing narrower for what a provider refuses
        raise zones.ZoneError(
            f"AWS could not be asked for the zones of {settings.region}: check the credentials and that they may call "
            "ec2:Describe*, and that the account has enabled this region "
            f"(AWS: {plain(' '.join(str(error).split()), MOST_OF_AN_ERROR)})."
        ) from None
    if len(host_zones) > 1:
        raise zones.ZoneError(
            f"Subnets in {' and '.join(sorted(host_zones))} have the tags of this stack's first one: delete the one "
            "that does not belong to it, or its tags."
        )
    offers: dict[str, set[str]] = defaultdict(set)
    for instance_type, zone in zip(offered.instance_types, offered.locations, strict=True):
        offers[instance_type].add(zone)
    return zones.choose(
        project=settings.project,
        region=settings.region,
        zone_ids=dict(zip(listed.names, listed.zone_ids, strict=True)),
        offers=offers,
        instance_type=settings.host.instance_type,
        count=settings.network.zones,
        host_zone=next(iter(host_zones), None),
    )


def _zones_of_host_subnet(settings: Settings, options: pulumi.InvokeOptions) -> set[str]:
    """Return the zone of the host's subnet if an earlier `up` made it: neither it nor the data volume ever moves."""
    tags = {"Name": f"{settings.prefix}-subnet-0", "Project": settings.project, "Stack": settings.stack}
    # A subnet with other addresses is none of this stack's, whatever its tags say.
    wanted = {f"tag:{key}": value for key, value in tags.items()} | {"cidr-block": settings.network.subnet_cidrs[0]}
    found = aws.ec2.get_subnets(
        filters=[{"name": name, "values": [value]} for name, value in wanted.items()], opts=options
    ).ids
    return {aws.ec2.get_subnet(id=subnet, opts=options).availability_zone for subnet in found}
