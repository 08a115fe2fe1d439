"""List what someone made in an emulator and did not delete, by kind.

Left out is what every account has: the default VPC and its parts, AWS's own policies, roles, parameters and keys, and
what goes with something that is listed (a VPC's main route table).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from devcloud.cloud.aws import AwsClients

Look = Callable[[AwsClients], Iterable[str]]
"""Return the names or ids of one kind."""


def all_of(
    service: str,
    operation: str,
    key: str,
    name: str = "",
    made: Callable[[Any], bool] = lambda _: True,
    **parameters: Any,
) -> Look:
    """Look at the things that users make: those for which `made` is true, if AWS has some too.

    `name` is where each has its name, if it is more than one.
    """

    def look(clients: AwsClients) -> list[str]:
        things = clients.pages(service, operation, key, **parameters)
        return [thing[name] if name else thing for thing in things if made(thing)]

    return look


def in_vpcs(operation: str, key: str, identifier: str, made: Callable[[Any], bool] = lambda _: True) -> Look:
    """Look at things of EC2 that live in a VPC, leaving out the default VPC's."""

    def look(clients: AwsClients) -> list[str]:
        default, things = default_vpcs(clients), clients.pages("ec2", operation, key)
        return [thing[identifier] for thing in things if thing["VpcId"] not in default and made(thing)]

    return look


def in_clusters(operation: str, key: str, **parameters: Any) -> Look:
    """Look at things of every ECS cluster, by their ARNs."""

    def look(clients: AwsClients) -> list[str]:
        clusters = clients.pages("ecs", "list_clusters", "clusterArns")
        return [arn for each in clusters for arn in clients.pages("ecs", operation, key, cluster=each, **parameters)]

    return look


def default_vpcs(clients: AwsClients) -> set[str]:
    """Return the ids of the default VPCs."""
    return {vpc["VpcId"] for vpc in clients.pages("ec2", "describe_vpcs", "Vpcs") if vpc["IsDefault"]}


def internet_gateways(clients: AwsClients) -> list[str]:
    """Return the internet gateways, attached or not, but for the default VPC's."""
    default = default_vpcs(clients)
    found = clients.pages("ec2", "describe_internet_gateways", "InternetGateways")
    return [
        gateway["InternetGatewayId"]
        for gateway in found
        if not default & {attachment["VpcId"] for attachment in gateway["Attachments"]}
    ]


def instances(clients: AwsClients) -> list[str]:
    """Return the instances that are not terminated: those stay visible for an hour."""
    reservations = clients.pages("ec2", "describe_instances", "Reservations")
    found = [instance for reservation in reservations for instance in reservation["Instances"]]
    return [instance["InstanceId"] for instance in found if instance["State"]["Name"] != "terminated"]


def keys(clients: AwsClients) -> list[str]:
    """Return the KMS keys but for AWS's own, and those that are about to be deleted."""
    aliases = clients.pages("kms", "list_aliases", "Aliases")
    of_aws = {alias.get("TargetKeyId") for alias in aliases if alias["AliasName"].startswith("alias/aws/")}
    found = [key["KeyId"] for key in clients.pages("kms", "list_keys", "Keys") if key["KeyId"] not in of_aws]
    return [key for key in found if clients.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Enabled"]]


def budgets(clients: AwsClients) -> list[str]:
    """Return the budgets, which are asked for by account."""
    account = clients.client("sts").get_caller_identity()["Account"]
    return list(all_of("budgets", "describe_budgets", "Budgets", "BudgetName", AccountId=account)(clients))


OWN_DOCUMENTS = [{"Key": "Owner", "Values": ["Self"]}]
SCALING = "application-autoscaling"

KINDS: Mapping[str, Look] = {
    "budgets": budgets,
    "buckets": all_of("s3", "list_buckets", "Buckets", "Name"),
    "clusters": all_of("ecs", "list_clusters", "clusterArns"),
    "dashboards": all_of("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    "elastic addresses": all_of("ec2", "describe_addresses", "Addresses", "AllocationId"),
    "event rules": all_of("events", "list_rules", "Rules", "Name"),
    "identity providers": all_of("iam", "list_open_id_connect_providers", "OpenIDConnectProviderList", "Arn"),
    "instance profiles": all_of("iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    "instances": instances,
    "internet gateways": internet_gateways,
    "key pairs": all_of("ec2", "describe_key_pairs", "KeyPairs", "KeyName"),
    "keys": keys,
    "launch templates": all_of("ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
    "log groups": all_of("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "metric alarms": all_of("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "network interfaces": in_vpcs("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    "parameters": all_of(
        *("ssm", "describe_parameters", "Parameters", "Name"), made=lambda each: not each["Name"].startswith("/aws/")
    ),
    "policies": all_of("iam", "list_policies", "Policies", "Arn", Scope="Local"),
    "queues": all_of("sqs", "list_queues", "QueueUrls"),
    "repositories": all_of("ecr", "describe_repositories", "repositories", "repositoryName"),
    "roles": all_of(
        *("iam", "list_roles", "Roles", "RoleName"),
        made=lambda role: not role["Path"].startswith("/aws-service-role/"),  # AWS makes those for its services
    ),
    "route tables": in_vpcs(
        "describe_route_tables",
        "RouteTables",
        "RouteTableId",
        lambda table: not any(association.get("Main") for association in table["Associations"]),
    ),
    "scalable targets": all_of(
        *(SCALING, "describe_scalable_targets", "ScalableTargets", "ResourceId"), ServiceNamespace="ecs"
    ),
    "scaling policies": all_of(
        *(SCALING, "describe_scaling_policies", "ScalingPolicies", "PolicyName"), ServiceNamespace="ecs"
    ),
    "secrets": all_of("secretsmanager", "list_secrets", "SecretList", "Name"),
    "security groups": in_vpcs(
        "describe_security_groups", "SecurityGroups", "GroupId", lambda group: group["GroupName"] != "default"
    ),
    "services": in_clusters("list_services", "serviceArns"),
    "SSM associations": all_of("ssm", "list_associations", "Associations", "AssociationId"),
    "SSM documents": all_of("ssm", "list_documents", "DocumentIdentifiers", "Name", Filters=OWN_DOCUMENTS),
    "snapshot policies": all_of("dlm", "get_lifecycle_policies", "Policies", "PolicyId"),
    "subnets": in_vpcs("describe_subnets", "Subnets", "SubnetId"),
    "task definitions": all_of("ecs", "list_task_definitions", "taskDefinitionArns"),
    "subscriptions": all_of("sns", "list_subscriptions", "Subscriptions", "SubscriptionArn"),
    "tasks": in_clusters("list_tasks", "taskArns", desiredStatus="RUNNING"),
    "topics": all_of("sns", "list_topics", "Topics", "TopicArn"),
    "users": all_of("iam", "list_users", "Users", "UserName"),
    "volumes": all_of("ec2", "describe_volumes", "Volumes", "VolumeId"),
    "VPCs": all_of("ec2", "describe_vpcs", "Vpcs", "VpcId", made=lambda vpc: not vpc["IsDefault"]),
}


def inventory(clients: AwsClients) -> dict[str, list[str]]:
    """Return what is left in an emulator: sorted names or ids, by each kind that has some."""
    found = {kind: sorted(look(clients)) for kind, look in KINDS.items()}
    return {kind: names for kind, names in found.items() if names}
