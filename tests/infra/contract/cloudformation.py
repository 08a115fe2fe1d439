"""Translate the resources that the program declares to CloudFormation, whose schemas AWS publishes.

Every resource type of pulumi-aws that the program uses is in `KINDS`, or in `UNMAPPED` with the reason. A property
keeps its name, in CloudFormation's spelling (`cidrBlock` -> `CidrBlock`), unless its kind says otherwise; the linter
refuses a property that CloudFormation does not know.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.infra.conftest import Asked

Properties = dict[str, Any]
Resource = dict[str, Any]

UNMAPPED: Mapping[str, str] = {}
"""Resource types that have no counterpart in CloudFormation, and why that is no gap."""

PROVIDER_OPTION = "an option of the provider, never sent to AWS"


@dataclass(frozen=True)
class Kind:
    """How one resource type of pulumi-aws is written in CloudFormation."""

    type: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Properties with another name there."""
    special: Mapping[str, Callable[[Any], Properties]] = field(default_factory=dict)
    """Properties with another shape there: the value -> CloudFormation's properties."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Properties that CloudFormation does not have, and why that is no gap."""
    parts: Callable[[Asked], Iterable[tuple[str, Properties]]] = lambda asked: ()
    """Further resources that one of ours stands for: each one's type and properties."""


class UnmappedError(Exception):
    """A resource cannot be translated."""


def template(asked: Iterable[Asked]) -> dict[str, Any]:
    """Return the CloudFormation template of the resources. Raises UnmappedError for a type that is not known."""
    resources: dict[str, Resource] = {}
    for one in asked:
        for number, resource in enumerate(_translate(one)):
            logical_id = "".join(word.capitalize() for word in re.findall("[A-Za-z0-9]+", one.name))
            logical_id += str(number or "")
            if logical_id in resources:
                raise UnmappedError(f"{one.name} and another resource would both be {logical_id}: rename one.")
            resources[logical_id] = resource
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}


def _translate(asked: Asked) -> Iterator[Resource]:
    if not asked.type.startswith("aws:") or asked.type in UNMAPPED:
        return
    kind = KINDS.get(asked.type)
    if kind is None:
        raise UnmappedError(
            f"{asked.type} ({asked.name}) is not in tests/infra/contract/cloudformation.py: add it to KINDS, or to "
            "UNMAPPED with the reason."
        )
    properties: Properties = {}
    for name, value in asked.inputs.items():
        if value is None or name in kind.left_out:
            continue
        if name in kind.special:
            _merge(properties, kind.special[name](value))
        elif name == "tags":
            properties["Tags"] = _tag_list(value)
        else:
            properties[kind.renamed.get(name, _spelled(name))] = _respelled(value)
    yield {"Type": kind.type, "Properties": properties}
    for part, part_properties in kind.parts(asked):
        yield {"Type": part, "Properties": part_properties}


def _merge(properties: Properties, more: Properties) -> None:
    """Add properties, also inside groups that are there already."""
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(properties.get(name), dict):
            _merge(properties[name], value)
        else:
            properties[name] = value


def _spelled(name: str) -> str:
    return name[0].upper() + name[1:]


def _respelled(value: Any) -> Any:
    """Spell the keys inside a value as CloudFormation does; numbers come from the engine as floats."""
    if isinstance(value, Mapping):
        return {_spelled(key): _respelled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_respelled(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _document(name: str) -> Callable[[str], Properties]:
    """Return how a JSON document (a policy) becomes the property `name`, its keys as they are."""
    return lambda text: {name: json.loads(text)}


def _containers(text: str) -> Properties:
    definitions = json.loads(text)
    spelled = [_respelled(definition) for definition in definitions]
    for definition, container in zip(definitions, spelled, strict=True):
        # A driver's options are its own words, not CloudFormation's.
        container["LogConfiguration"]["Options"] = definition["logConfiguration"]["options"]
    return {"ContainerDefinitions": spelled}


def _credits(option: Mapping[str, str]) -> Properties:
    return {"CreditSpecification": {"CPUCredits": option["cpuCredits"]}}


def _rule(peer: str) -> Kind:
    direction = "Ingress" if peer == "Source" else "Egress"
    return Kind(
        f"AWS::EC2::SecurityGroup{direction}",
        renamed={
            "cidrIpv4": "CidrIp",
            "referencedSecurityGroupId": f"{peer}SecurityGroupId",
            "securityGroupId": "GroupId",
        },
        left_out={"tags": "CloudFormation's rules have none; a group's tags are checked with the group"},
    )


def _routes(asked: Asked) -> Iterator[tuple[str, Properties]]:
    for route in asked.inputs.get("routes", []):
        yield (
            "AWS::EC2::Route",
            {
                "RouteTableId": "rtb-0123456789abcdef0",
                "DestinationCidrBlock": route["cidrBlock"],
                **{_spelled(name): value for name, value in route.items() if name != "cidrBlock"},
            },
        )


def _root_volume(device: Mapping[str, Any]) -> Properties:
    return {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": _respelled(device)}]}


def _addresses(addresses: list[str]) -> Properties:
    return {
        "PrivateIpAddresses": [
            {"PrivateIpAddress": address, "Primary": number == 0} for number, address in enumerate(addresses)
        ]
    }


def _interfaces(interfaces: list[Mapping[str, Any]]) -> Properties:
    return {
        "NetworkInterfaces": [
            {**_respelled(interface), "DeviceIndex": str(int(interface["deviceIndex"]))} for interface in interfaces
        ]
    }


def _awsvpc(configuration: Mapping[str, Any]) -> Properties:
    spelled = _respelled(configuration)
    spelled["AssignPublicIp"] = "ENABLED" if configuration["assignPublicIp"] else "DISABLED"
    return {"NetworkConfiguration": {"AwsvpcConfiguration": spelled}}


def _notifications(notifications: list[Mapping[str, Any]]) -> Properties:
    return {
        "NotificationsWithSubscribers": [
            {
                "Notification": _respelled(
                    {key: value for key, value in one.items() if key != "subscriberEmailAddresses"}
                ),
                "Subscribers": [
                    {"SubscriptionType": "EMAIL", "Address": address} for address in one["subscriberEmailAddresses"]
                ],
            }
            for one in notifications
        ]
    }


def _dimensions(dimensions: Mapping[str, str]) -> Properties:
    return {"Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()]}


def _budget(name: str) -> Callable[[Any], Properties]:
    return lambda value: {"Budget": {name: value}}


def _tag_list(tags: Mapping[str, str]) -> list[Properties]:
    return [{"Key": key, "Value": text} for key, text in tags.items()]


def _snapshot_policy(details: Mapping[str, Any]) -> Properties:
    spelled = _respelled(details)
    spelled["TargetTags"] = _tag_list(details["targetTags"])
    for schedule, given in zip(spelled["Schedules"], details["schedules"], strict=True):
        schedule["TagsToAdd"] = _tag_list(given["tagsToAdd"])
    return {"PolicyDetails": spelled}


KINDS: Mapping[str, Kind] = {
    "aws:ec2/vpc:Vpc": Kind("AWS::EC2::VPC"),
    "aws:ec2/internetGateway:InternetGateway": Kind(
        "AWS::EC2::InternetGateway",
        left_out={"vpcId": "an attachment of its own in CloudFormation: the part below"},
        parts=lambda asked: [
            (
                "AWS::EC2::VPCGatewayAttachment",
                {"VpcId": asked.inputs["vpcId"], "InternetGatewayId": "igw-0123456789abcdef0"},
            )
        ],
    ),
    "aws:ec2/routeTable:RouteTable": Kind(
        "AWS::EC2::RouteTable",
        left_out={"routes": "resources of their own in CloudFormation: the parts below"},
        parts=_routes,
    ),
    "aws:ec2/subnet:Subnet": Kind("AWS::EC2::Subnet"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Kind("AWS::EC2::SubnetRouteTableAssociation"),
    "aws:ec2/securityGroup:SecurityGroup": Kind(
        "AWS::EC2::SecurityGroup",
        renamed={"name": "GroupName", "description": "GroupDescription"},
        # The provider appends 26 characters to a prefix.
        special={"namePrefix": lambda prefix: {"GroupName": f"{prefix}{'0' * 26}"}},
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _rule("Source"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _rule("Destination"),
    "aws:ec2/instance:Instance": Kind(
        "AWS::EC2::Instance",
        renamed={"ami": "ImageId"},
        special={"rootBlockDevice": _root_volume, "networkInterfaces": _interfaces, "creditSpecification": _credits},
        left_out={"userDataReplaceOnChange": PROVIDER_OPTION},
    ),
    "aws:ec2/networkInterface:NetworkInterface": Kind(
        "AWS::EC2::NetworkInterface",
        renamed={"securityGroups": "GroupSet"},
        special={"privateIps": _addresses},
    ),
    "aws:dlm/lifecyclePolicy:LifecyclePolicy": Kind(
        "AWS::DLM::LifecyclePolicy", special={"policyDetails": _snapshot_policy}
    ),
    "aws:ebs/volume:Volume": Kind("AWS::EC2::Volume", renamed={"type": "VolumeType"}),
    "aws:ec2/volumeAttachment:VolumeAttachment": Kind(
        "AWS::EC2::VolumeAttachment",
        renamed={"deviceName": "Device"},
        left_out={"stopInstanceBeforeDetaching": PROVIDER_OPTION},
    ),
    "aws:ec2/eip:Eip": Kind("AWS::EC2::EIP"),
    "aws:ec2/eipAssociation:EipAssociation": Kind("AWS::EC2::EIPAssociation"),
    "aws:ecr/repository:Repository": Kind(
        "AWS::ECR::Repository", renamed={"name": "RepositoryName", "forceDelete": "EmptyOnDelete"}
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Kind(
        "AWS::ECR::Repository",
        special={"policy": lambda text: {"LifecyclePolicy": {"LifecyclePolicyText": text}}},
        left_out={"repository": "a property of the repository in CloudFormation, where two of a name are refused"},
    ),
    "aws:ecs/cluster:Cluster": Kind(
        "AWS::ECS::Cluster", renamed={"name": "ClusterName", "settings": "ClusterSettings"}
    ),
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": Kind(
        "AWS::ECS::ClusterCapacityProviderAssociations",
        renamed={
            "clusterName": "Cluster",
            "defaultCapacityProviderStrategies": "DefaultCapacityProviderStrategy",
        },
    ),
    "aws:ecs/taskDefinition:TaskDefinition": Kind(
        "AWS::ECS::TaskDefinition",
        special={"containerDefinitions": _containers},
        left_out={"skipDestroy": PROVIDER_OPTION},
    ),
    "aws:ecs/service:Service": Kind(
        "AWS::ECS::Service",
        renamed={"name": "ServiceName", "capacityProviderStrategies": "CapacityProviderStrategy"},
        special={
            "networkConfiguration": _awsvpc,
            "deploymentCircuitBreaker": lambda breaker: {
                "DeploymentConfiguration": {"DeploymentCircuitBreaker": _respelled(breaker)}
            },
        },
        left_out={"forceNewDeployment": "a flag here, a random text in CloudFormation"},
    ),
    "aws:iam/role:Role": Kind(
        "AWS::IAM::Role",
        renamed={"name": "RoleName"},
        special={"assumeRolePolicy": _document("AssumeRolePolicyDocument")},
    ),
    "aws:iam/rolePolicy:RolePolicy": Kind(
        "AWS::IAM::RolePolicy",
        renamed={"name": "PolicyName", "role": "RoleName"},
        special={"policy": _document("PolicyDocument")},
    ),
    "aws:iam/instanceProfile:InstanceProfile": Kind(
        "AWS::IAM::InstanceProfile",
        renamed={"name": "InstanceProfileName"},
        special={"role": lambda role: {"Roles": [role]}},
    ),
    "aws:cloudwatch/logGroup:LogGroup": Kind("AWS::Logs::LogGroup", renamed={"name": "LogGroupName"}),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Kind(
        "AWS::CloudWatch::Alarm",
        renamed={"name": "AlarmName", "okActions": "OKActions"},
        special={"dimensions": _dimensions},
    ),
    "aws:cloudwatch/dashboard:Dashboard": Kind("AWS::CloudWatch::Dashboard"),
    "aws:sns/topic:Topic": Kind("AWS::SNS::Topic", renamed={"name": "TopicName"}),
    "aws:sns/topicSubscription:TopicSubscription": Kind("AWS::SNS::Subscription", renamed={"topic": "TopicArn"}),
    "aws:sqs/queue:Queue": Kind(
        "AWS::SQS::Queue",
        renamed={
            "name": "QueueName",
            "messageRetentionSeconds": "MessageRetentionPeriod",
            "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
            "visibilityTimeoutSeconds": "VisibilityTimeout",
        },
        special={"redrivePolicy": _document("RedrivePolicy")},
    ),
    "aws:ssm/parameter:Parameter": Kind(
        "AWS::SSM::Parameter",
        renamed={"insecureValue": "Value"},
        special={
            # CloudFormation makes no SecureString: name, tags and length are checked as those of a String.
            "type": lambda kind: {"Type": "String" if kind == "SecureString" else kind},
            "value": lambda secret: {"Value": "x" * len(secret["value"] if isinstance(secret, dict) else secret)},
        },
    ),
    "aws:ssm/document:Document": Kind("AWS::SSM::Document", special={"content": _document("Content")}),
    "aws:budgets/budget:Budget": Kind(
        "AWS::Budgets::Budget",
        special={
            "name": _budget("BudgetName"),
            "budgetType": _budget("BudgetType"),
            "timeUnit": _budget("TimeUnit"),
            "limitAmount": lambda amount: {"Budget": {"BudgetLimit": {"Amount": float(amount)}}},
            "limitUnit": lambda unit: {"Budget": {"BudgetLimit": {"Unit": unit}}},
            "notifications": _notifications,
        },
    ),
}
"""CloudFormation's form of each resource type that the program declares."""
