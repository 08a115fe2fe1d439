"""Refuse what EC2 refuses and moto lets through, with EC2's error codes and messages.

The messages were read in public issues and recordings in 2026-11; a source stands beside each that is not in the EC2
API reference. moto has an issue for none of them.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.ecs.models import ecs_backends

from devcloud.emulator.moto_overrides import AwsError

ALLOWED = "strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
ALLOWED_TEXT = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}")
"""Names and descriptions of security groups (CreateSecurityGroup in the EC2 API reference)."""


def group_name(name: str) -> None:
    """Refuse a security group's name that EC2 does not take."""
    if not name.isascii():
        raise _not_ascii("GroupName", name)
    if name.startswith("sg-"):  # pulumi-awsx#328
        raise _invalid(f"Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*.")
    if not name or ALLOWED_TEXT.fullmatch(name) is None:
        raise _invalid(f"Invalid security group name. Valid names are non-empty {ALLOWED}")


def group_description(description: str) -> None:
    """Refuse a security group's description that EC2 does not take (aws-cloudformation/cfn-lint#173)."""
    if not description.isascii():
        raise _not_ascii("GroupDescription", description)
    if ALLOWED_TEXT.fullmatch(description) is None:
        raise _invalid(f"Invalid security group description. Valid descriptions are {ALLOWED}")


def rule_descriptions(permissions: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a rule's description that EC2 does not take."""
    lists = ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs", "Groups")
    peers = (peer for permission in permissions for key in lists for peer in permission.get(key) or [])
    for peer in peers:
        if ALLOWED_TEXT.fullmatch(peer.get("Description") or "") is None:
            raise _invalid(f"Invalid rule description. Valid descriptions are {ALLOWED}")


def group_in_use(backend: Any, name_or_id: str) -> None:
    """Refuse to delete a VPC's default group, or one that is in use (hashicorp/terraform-provider-aws#2445)."""
    group = backend.get_security_group_by_name_or_id(name_or_id)
    if group is None:
        return  # moto says that there is no such group
    group_id = group.id
    if group.is_default:
        raise AwsError(
            "CannotDelete", f'the specified group: "{group_id}" name: "{group.name}" cannot be deleted by a user'
        )
    if any(group_id in users for users in _users_of_groups(backend)):
        raise AwsError("DependencyViolation", f"resource {group_id} has a dependent object")


def _users_of_groups(backend: Any) -> Iterator[set[str]]:
    """Yield the groups of each interface, of each ECS service with tasks, and those that a group's rules name."""
    for interface in backend.enis.values():
        yield {group.id for group in interface._group_set}
    for service in ecs_backends[backend.account_id][backend.region_name].services.values():
        if service.status == "ACTIVE" and service.desired_count:
            yield set(
                ((service.network_configuration or {}).get("awsvpcConfiguration") or {}).get("securityGroups", [])
            )
    for groups in backend.groups.values():
        for group in groups.values():
            rules = [*group.ingress_rules, *group.egress_rules]
            yield {rule.source_group["GroupId"] for rule in rules if rule.source_group.get("GroupId")} - {group.id}


def instance_type(region: str, name: str, zone: str | None) -> None:
    """Refuse an instance type that no region has, that the region does not offer, or that the zone does not."""
    offers = INSTANCE_TYPE_OFFERINGS["availability-zone"]
    if region not in offers:
        return  # moto has no data of the newest regions
    if not any(offer["InstanceType"] == name for listed in offers.values() for offer in listed):
        raise _invalid(f"Invalid value '{name}' for InstanceType.")
    zones = sorted(offer["Location"] for offer in offers.get(region, []) if offer["InstanceType"] == name)
    if not zones:
        raise AwsError(
            "Unsupported",
            "The requested configuration is currently not supported. Please check the documentation for supported "
            "configurations.",
        )
    if zone is not None and zone not in zones:
        raise AwsError(
            "Unsupported",
            f"Your requested instance type ({name}) is not supported in your requested Availability Zone ({zone}). "
            f"Please retry your request by not specifying an Availability Zone or choosing {', '.join(zones)}.",
        )


def credits_without_bursts(name: str) -> None:
    """Refuse a credit option for an instance type that is not burstable (hashicorp/terraform-provider-aws#5067)."""
    if not INSTANCE_TYPES.get(name, {}).get("BurstablePerformanceSupported"):
        raise AwsError(
            "InstanceCreditSpecification.NotSupported", f"The {name} instance type does not support T2 Unlimited."
        )


def state(instance: Any, allowed: tuple[str, ...], done: str) -> None:
    """Refuse to change an instance in a state that does not allow it (StartInstances in the EC2 API's error codes)."""
    if instance.state not in allowed:
        raise AwsError(
            "IncorrectInstanceState",
            f"The instance '{instance.id}' is not in a state from which it can be {done}.",
        )


def interface_in_use(interface: Any) -> None:
    """Refuse to attach a network interface that another instance has (hashicorp/terraform-provider-aws#2068)."""
    if interface.attachment_id:
        raise AwsError("InvalidNetworkInterface.InUse", f"Interface: [{interface.id}] in use.")


def private_address(backend: Any, subnet: Any, address: str, *, of_an_interface: bool) -> None:
    """Refuse a private address that the subnet does not have, keeps for itself, or has given away.

    RunInstances names the address, CreateNetworkInterface (`of_an_interface`) does not (pulumi-aws#1754, pulumi#10923).
    """
    network = subnet.cidr
    named = "Address" if of_an_interface else f"Address {address}"
    try:
        wanted = ipaddress.IPv4Address(address)
    except ValueError:  # hashicorp/terraform-provider-aws#23114
        raise _invalid(f"invalid value for parameter address: {address}") from None
    if wanted not in network:
        raise _invalid(f"{named} does not fall within the subnet's address range")
    # AWS keeps the first four addresses of a subnet, and the last.
    if wanted in {*(network[number] for number in range(4)), network[-1]}:
        raise _invalid(f"{named} is in subnet's reserved address range")
    in_use = {
        entry["PrivateIpAddress"]
        for interface in backend.enis.values()
        if interface.subnet.id == subnet.id
        for entry in interface.private_ip_addresses
    }
    if address in in_use:
        message = "The specified address is already in use." if of_an_interface else f"{named} is in use."
        raise AwsError("InvalidIPAddress.InUse", message)


def address_without_gateway(backend: Any, vpc_id: str) -> None:
    """Refuse an elastic address in a VPC without an internet gateway. A default VPC has one, though moto makes none."""
    gateways = backend.internet_gateways.values()
    if backend.get_vpc(vpc_id).is_default or any(each.vpc and each.vpc.id == vpc_id for each in gateways):
        return
    raise AwsError("Gateway.NotAttached", f"Network {vpc_id} is not attached to any internet gateway")


def gateway_with_addresses(backend: Any, vpc_id: str) -> None:
    """Refuse to detach a gateway while elastic addresses of its VPC are in use."""
    interfaces = [address.eni for address in backend.addresses if address.eni]
    if any(interface.id in backend.enis and interface.subnet.vpc_id == vpc_id for interface in interfaces):
        raise AwsError(
            "DependencyViolation",
            f"Network {vpc_id} has some mapped public address(es). Please unmap those public address(es) before "
            "detaching the gateway.",
        )


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)


def _not_ascii(parameter: str, value: str) -> AwsError:
    # hashicorp/terraform-provider-aws#43854
    return _invalid(
        f"Value ({value}) for parameter {parameter} is invalid. Character sets beyond ASCII are not supported."
    )
