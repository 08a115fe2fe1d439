"""What Pulumi's AWS SDK calls a thing, and what the dynamic bridge over Terraform's provider calls it.

The bridge derives each name from Terraform's (`aws_ecs_service` becomes `aws:index/ecsService:EcsService`);
pulumi-aws groups them in modules (`aws:ecs/service:Service`). Module and name put together give Terraform's name again,
but for what is listed here. The lists come from comparing pulumi_aws 7.51.1 with the bridge's schema of
terraform-provider-aws 5.100.0, for the services that a Slipway program may use.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from google.protobuf import struct_pb2

PREFIXED_IN_EC2 = frozenset(
    """
    AvailabilityZoneGroup CapacityBlockReservation CapacityReservation CarrierGateway DefaultCreditSpecification Fleet
    ImageBlockPublicAccess InstanceMetadataDefaults LocalGatewayRoute LocalGatewayRouteTableVpcAssociation
    ManagedPrefixList ManagedPrefixListEntry NetworkInsightsAnalysis NetworkInsightsPath SerialConsoleAccess
    SubnetCidrReservation Tag TrafficMirrorFilter TrafficMirrorFilterRule TrafficMirrorSession TrafficMirrorTarget
    CapacityBlockOffering CoipPool CoipPools InstanceType InstanceTypeOffering InstanceTypeOfferings InstanceTypes
    LocalGateway LocalGateways ManagedPrefixLists PublicIpv4Pool PublicIpv4Pools SpotPrice
    """.split()  # noqa: SIM905  a list of so many would be a page long
)
"""Of module `ec2`, what Terraform calls `aws_ec2_...`; the rest came before the prefix (`aws_vpc`, `aws_instance`)."""

NOT_BY_RULE = {
    "ec2/DedicatedHost": "Ec2Host",
    "ec2/NetworkInterfaceSecurityGroupAttachment": "NetworkInterfaceSgAttachment",
    "ec2/PeeringConnectionOptions": "VpcPeeringConnectionOptions",
    "ec2/VpcEndpointServiceAllowedPrinciple": "VpcEndpointServiceAllowedPrincipal",
    "ec2/getElasticIp": "getEip",
    "iam/OpenIdConnectProvider": "IamOpenidConnectProvider",
    "iam/SshKey": "IamUserSshKey",
    "iam/getOpenIdConnectProvider": "getIamOpenidConnectProvider",
    "kms/getCipherText": "getKmsCiphertext",
    "sqs/RedriveAllowPolicy": "SqsQueueRedriveAllowPolicy",
    "sqs/RedrivePolicy": "SqsQueueRedrivePolicy",
}

RULES_OF_A_GROUP = {"ingress": "ingresses", "egress": "egresses"}
RENAMED: Mapping[str, Mapping[str, str]] = {
    "aws:cloudwatch/logSubscriptionFilter:LogSubscriptionFilter": {"logGroup": "logGroupName"},
    "aws:cloudwatch/metricAlarm:MetricAlarm": {"name": "alarmName"},
    "aws:ec2/defaultNetworkAcl:DefaultNetworkAcl": RULES_OF_A_GROUP,
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": RULES_OF_A_GROUP,
    "aws:ec2/networkAcl:NetworkAcl": RULES_OF_A_GROUP,
    "aws:ec2/securityGroup:SecurityGroup": RULES_OF_A_GROUP,
    "aws:sns/topicSubscription:TopicSubscription": {"topic": "topicArn"},
}
"""Top-level properties that pulumi-aws renames: its name -> the bridge's."""

COPIED: Mapping[str, Mapping[str, str]] = {
    "aws:ecs/service:Service": {"arn": "id"},
    "aws:index/getRegion:getRegion": {"region": "name"},
}
"""Outputs that Terraform's provider has from version 6 on, and where version 5 says the same."""

SINGLE_VALUES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "aws:dlm/lifecyclePolicy:LifecyclePolicy": (
        ("policyDetails", "resourceLocations"),
        ("policyDetails", "schedules", "createRule", "times"),
    ),
}
"""Paths of the properties that pulumi-aws takes as one value and Terraform as a list, by type.

Terraform's protocol has no limit of an attribute's list, so the bridge cannot know of it.
"""


PROVIDERS_SUFFIX = 26
"""Characters that the provider appends to a prefix."""
SINGLE_BLOCKS = ("assumeRoleWithWebIdentity", "defaultTags", "ignoreTags")
"""Settings of the provider that pulumi-aws takes as an object and Terraform as a list of one."""


def token(pulumi_token: str) -> str:
    """The bridge's token for a resource or function of pulumi-aws; what is not pulumi-aws's stays as it is."""
    if not pulumi_token.startswith("aws:"):
        return pulumi_token
    _, path, name = pulumi_token.split(":")
    module = path.partition("/")[0]
    full = NOT_BY_RULE.get(f"{module}/{name}") or _by_rule(module, name)
    return f"aws:index/{full[0].lower()}{full[1:]}:{full}"


def _by_rule(module: str, name: str) -> str:
    function = name[:3] == "get" and name[3:4].isupper()
    verb, noun = ("get", name[3:]) if function else ("", name)
    if module == "index" or (module == "ec2" and noun not in PREFIXED_IN_EC2):
        return verb + noun
    return f"{verb}{module[0].upper()}{module[1:]}{noun}"


def urn(pulumi_urn: str) -> str:
    """A URN with the bridge's token as its type. A provider's own URN stays as it is."""
    parts = pulumi_urn.split("::", 3)
    if len(parts) < 4:  # urn:pulumi:STACK :: PROJECT :: TYPE :: NAME
        return pulumi_urn
    *parents, own = parts[2].split("$")
    parts[2] = "$".join([*parents, token(own)])
    return "::".join(parts)


class Properties:
    """The property names of one resource type or function, in both tongues."""

    def __init__(self, pulumi_token: str) -> None:
        self._to_bridge = RENAMED.get(pulumi_token, {})
        self._to_pulumi = {theirs: ours for ours, theirs in self._to_bridge.items()}
        self._copied = COPIED.get(pulumi_token, {})
        self._single = SINGLE_VALUES.get(pulumi_token, ())

    def to_bridge(self, values: struct_pb2.Struct) -> None:
        """Rename properties on their way to the bridge, in place."""
        for name in self._copied:
            if name in values.fields:
                del values.fields[name]
        for struct, name in self._single_values(values):
            if struct.fields[name].HasField("string_value"):
                only = struct.fields[name].string_value
                struct.fields[name].list_value.Clear()
                if only:
                    struct.fields[name].list_value.values.add().string_value = only
        _rename(values, self.path_to_bridge, self._to_bridge)

    def to_pulumi(self, values: struct_pb2.Struct, resource_id: str = "") -> None:
        """Rename properties on their way back, in place. A resource's id is no property, and may be copied too."""
        _rename(values, self.path_to_pulumi, self._to_pulumi)
        for struct, name in self._single_values(values):
            if struct.fields[name].HasField("list_value"):
                found = [value.string_value for value in struct.fields[name].list_value.values]
                # Empty, and not left out: the bridge refuses a state that lacks what it returned.
                struct.fields[name].string_value = found[0] if found else ""
        for name, source in self._copied.items():
            if source == "id" and resource_id:
                values.fields[name].string_value = resource_id
            elif source in values.fields:
                values.fields[name].CopyFrom(values.fields[source])

    def _single_values(self, values: struct_pb2.Struct) -> Iterator[tuple[struct_pb2.Struct, str]]:
        """Yield each object with a property of SINGLE_VALUES, and the property's name."""
        for path in self._single:
            for struct in list(_holders(values, path)):
                yield struct, path[-1]

    def path_to_bridge(self, path: str) -> str:
        """Rename the property that a path such as `egress[0].fromPort` starts with."""
        return _in_path(path, self._to_bridge)

    def path_to_pulumi(self, path: str) -> str:
        """The same on the way back."""
        return _in_path(path, self._to_pulumi)


def name_for_prefix(inputs: struct_pb2.Struct) -> str | None:
    """Put a name in the place of `namePrefix`, in place, and return the prefix, if there is one.

    Without a name, a dynamic bridge makes one up, which the provider then refuses beside the prefix: that the two
    conflict is not in Terraform's protocol. pulumi-aws, which is made from the provider's source, knows it.
    """
    if "namePrefix" not in inputs.fields:
        return None
    prefix = inputs.fields["namePrefix"].string_value
    inputs.fields["name"].string_value = f"{prefix}{'0' * PROVIDERS_SUFFIX}"
    del inputs.fields["namePrefix"]
    return prefix


def prefix_for_name(inputs: struct_pb2.Struct, prefix: str | None) -> None:
    """Put the prefix back in the place of the name, in place."""
    if prefix is not None and "name" in inputs.fields:
        del inputs.fields["name"]
        inputs.fields["namePrefix"].string_value = prefix


def settings_to_bridge(*settings: struct_pb2.Struct) -> None:
    """Make lists of single blocks. A provider's settings come as JSON text, or as they are from newer SDKs."""
    for struct in settings:
        for name in SINGLE_BLOCKS:
            if name not in struct.fields:
                continue
            value = struct.fields[name]
            if value.HasField("struct_value"):
                block = struct_pb2.Value()
                block.CopyFrom(value)
                value.list_value.values.append(block)
            elif value.string_value.startswith("{"):
                value.string_value = f"[{value.string_value}]"


def settings_to_pulumi(struct: struct_pb2.Struct) -> None:
    """Make single blocks of lists again."""
    for name in SINGLE_BLOCKS:
        if name not in struct.fields:
            continue
        value = struct.fields[name]
        if value.HasField("list_value") and len(value.list_value.values) == 1:
            block = struct_pb2.Value()
            block.CopyFrom(value.list_value.values[0])
            value.CopyFrom(block)
        elif value.string_value.startswith("["):
            (only,) = json.loads(value.string_value)
            value.string_value = json.dumps(only, separators=(",", ":"), sort_keys=True)


def _holders(values: struct_pb2.Struct, path: Sequence[str]) -> Iterator[struct_pb2.Struct]:
    """Yield each object that has the property at the end of a path; a list on the way stands for its elements."""
    if not path or path[0] not in values.fields:
        return
    if len(path) == 1:
        yield values
        return
    inside = values.fields[path[0]]
    for value in inside.list_value.values if inside.HasField("list_value") else [inside]:
        if value.HasField("struct_value"):
            yield from _holders(value.struct_value, path[1:])


def _rename(values: struct_pb2.Struct, path: Callable[[str], str], names: Mapping[str, str]) -> None:
    for old, new in names.items():
        if old in values.fields:
            values.fields[new].CopyFrom(values.fields[old])
            del values.fields[old]
    if names and "__defaults" in values.fields:  # the bridge keeps there which properties it filled in itself
        for entry in values.fields["__defaults"].list_value.values:
            entry.string_value = path(entry.string_value)


def _in_path(path: str, names: Mapping[str, str]) -> str:
    ends = [position for mark in ".[" if (position := path.find(mark)) >= 0]
    end = min(ends, default=len(path))
    return names.get(path[:end], path[:end]) + path[end:]
