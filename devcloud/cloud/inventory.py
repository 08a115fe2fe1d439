"""What is left in an emulator that someone made, by kind; after `down`, only what was kept on purpose.

Not counted is what an account has without anyone's doing: the default VPC and its parts, AWS's own policies,
roles, parameters and keys, and what goes with something that is counted (a VPC's main route table).
"""

import argparse
import json
from collections.abc import Callable, Iterable
from typing import Any

from devcloud.cloud.aws import AwsClients

SERVICES_THAT_SCALE = ("ecs",)

# One look at one kind: the clients by service name -> the names or ids of what is there.
Look = Callable[[AwsClients], Iterable[str]]


def in_vpcs(operation: str, key: str, identifier: str, made: Callable[[Any], bool] = lambda _: True) -> Look:
    """A look at things of EC2 that live in a VPC, leaving out the default VPC's."""

    def look(clients: AwsClients) -> list[str]:
        default = {vpc["VpcId"] for vpc in clients.pages("ec2", "describe_vpcs", "Vpcs") if vpc["IsDefault"]}
        things = clients.pages("ec2", operation, key)
        return [thing[identifier] for thing in things if thing["VpcId"] not in default and made(thing)]

    return look


def plain(service: str, operation: str, key: str, name: str = "", **parameters: Any) -> Look:
    """A look at things that only users make; `name` is where each has its name, if it is more than one."""

    def look(clients: AwsClients) -> list[str]:
        things = clients.pages(service, operation, key, **parameters)
        return [thing[name] if name else thing for thing in things]

    return look


def vpcs(clients: AwsClients) -> list[str]:
    """VPCs but for the default one."""
    found = clients.pages("ec2", "describe_vpcs", "Vpcs")
    return [vpc["VpcId"] for vpc in found if not vpc["IsDefault"]]


def internet_gateways(clients: AwsClients) -> list[str]:
    """Internet gateways, attached or not, but for the default VPC's."""
    default = {vpc["VpcId"] for vpc in clients.pages("ec2", "describe_vpcs", "Vpcs") if vpc["IsDefault"]}
    found = clients.pages("ec2", "describe_internet_gateways", "InternetGateways")
    return [
        gateway["InternetGatewayId"]
        for gateway in found
        if not default & {attachment["VpcId"] for attachment in gateway["Attachments"]}
    ]


def instances(clients: AwsClients) -> list[str]:
    """Instances that are not terminated: those stay visible for an hour."""
    reservations = clients.pages("ec2", "describe_instances", "Reservations")
    found = [instance for reservation in reservations for instance in reservation["Instances"]]
    return [instance["InstanceId"] for instance in found if instance["State"]["Name"] != "terminated"]


def services(clients: AwsClients) -> list[str]:
    """ECS services of every cluster, by their ARNs."""
    clusters = clients.pages("ecs", "list_clusters", "clusterArns")
    return [
        arn for cluster in clusters for arn in clients.pages("ecs", "list_services", "serviceArns", cluster=cluster)
    ]


def tasks(clients: AwsClients) -> list[str]:
    """ECS tasks that are to run, of every cluster, by their ARNs."""
    clusters = clients.pages("ecs", "list_clusters", "clusterArns")
    return [
        arn
        for cluster in clusters
        for arn in clients.pages("ecs", "list_tasks", "taskArns", cluster=cluster, desiredStatus="RUNNING")
    ]


def roles(clients: AwsClients) -> list[str]:
    """Roles but for those that AWS makes for its services."""
    found = clients.pages("iam", "list_roles", "Roles")
    return [role["RoleName"] for role in found if not role["Path"].startswith("/aws-service-role/")]


def identity_providers(clients: AwsClients) -> list[str]:
    """OpenID Connect providers."""
    found = clients.client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
    return [provider["Arn"] for provider in found]


def parameters(clients: AwsClients) -> list[str]:
    """SSM parameters but for AWS's public ones."""
    found = clients.pages("ssm", "describe_parameters", "Parameters")
    return [parameter["Name"] for parameter in found if not parameter["Name"].startswith("/aws/")]


def documents(clients: AwsClients) -> list[str]:
    """SSM documents of the account's own."""
    own = [{"Key": "Owner", "Values": ["Self"]}]
    found = clients.pages("ssm", "list_documents", "DocumentIdentifiers", Filters=own)
    return [document["Name"] for document in found]


def scaling(operation: str, key: str, name: str) -> Look:
    """A look at Application Auto Scaling, which answers for one service at a time."""

    def look(clients: AwsClients) -> list[str]:
        return [
            thing[name]
            for namespace in SERVICES_THAT_SCALE
            for thing in clients.pages("application-autoscaling", operation, key, ServiceNamespace=namespace)
        ]

    return look


def keys(clients: AwsClients) -> list[str]:
    """KMS keys but for AWS's own, and those that are about to be deleted."""
    aliases = clients.pages("kms", "list_aliases", "Aliases")
    of_aws = {alias.get("TargetKeyId") for alias in aliases if alias["AliasName"].startswith("alias/aws/")}
    found = [key["KeyId"] for key in clients.pages("kms", "list_keys", "Keys") if key["KeyId"] not in of_aws]
    return [key for key in found if clients.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Enabled"]]


def budgets(clients: AwsClients) -> list[str]:
    """Budgets."""
    account = clients.client("sts").get_caller_identity()["Account"]
    return [
        budget["BudgetName"] for budget in clients.pages("budgets", "describe_budgets", "Budgets", AccountId=account)
    ]


KINDS: dict[str, Look] = {
    "budgets": budgets,
    "buckets": plain("s3", "list_buckets", "Buckets", "Name"),
    "clusters": plain("ecs", "list_clusters", "clusterArns"),
    "elastic addresses": plain("ec2", "describe_addresses", "Addresses", "AllocationId"),
    "event rules": plain("events", "list_rules", "Rules", "Name"),
    "identity providers": identity_providers,
    "instance profiles": plain("iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    "instances": instances,
    "internet gateways": internet_gateways,
    "key pairs": plain("ec2", "describe_key_pairs", "KeyPairs", "KeyName"),
    "keys": keys,
    "launch templates": plain("ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
    "log groups": plain("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "metric alarms": plain("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "network interfaces": in_vpcs("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    "parameters": parameters,
    "policies": plain("iam", "list_policies", "Policies", "Arn", Scope="Local"),
    "queues": plain("sqs", "list_queues", "QueueUrls"),
    "repositories": plain("ecr", "describe_repositories", "repositories", "repositoryName"),
    "roles": roles,
    "route tables": in_vpcs(
        "describe_route_tables",
        "RouteTables",
        "RouteTableId",
        lambda table: not any(association.get("Main") for association in table["Associations"]),
    ),
    "scalable targets": scaling("describe_scalable_targets", "ScalableTargets", "ResourceId"),
    "scaling policies": scaling("describe_scaling_policies", "ScalingPolicies", "PolicyName"),
    "secrets": plain("secretsmanager", "list_secrets", "SecretList", "Name"),
    "security groups": in_vpcs(
        "describe_security_groups", "SecurityGroups", "GroupId", lambda group: group["GroupName"] != "default"
    ),
    "services": services,
    "SSM associations": plain("ssm", "list_associations", "Associations", "AssociationId"),
    "SSM documents": documents,
    "subnets": in_vpcs("describe_subnets", "Subnets", "SubnetId"),
    "task definitions": plain("ecs", "list_task_definitions", "taskDefinitionArns"),
    "tasks": tasks,
    "topics": plain("sns", "list_topics", "Topics", "TopicArn"),
    "users": plain("iam", "list_users", "Users", "UserName"),
    "volumes": plain("ec2", "describe_volumes", "Volumes", "VolumeId"),
    "VPCs": vpcs,
}


def inventory(endpoint: str) -> dict[str, list[str]]:
    """What someone made and did not take away, in the emulator at `endpoint`: kind -> sorted names or ids.

    Only kinds that have something are in it. botocore's errors (EndpointConnectionError) go to the caller.
    """
    clients = AwsClients(endpoint)
    found = {kind: sorted(look(clients)) for kind, look in KINDS.items()}
    return {kind: names for kind, names in found.items() if names}


def main() -> None:
    """Print the inventory as JSON."""
    parser = argparse.ArgumentParser(prog="python -m devcloud.cloud.inventory", description=main.__doc__)
    parser.add_argument("--endpoint", required=True, metavar="URL", help="the emulator's address")
    print(json.dumps(inventory(parser.parse_args().endpoint), indent=2))


if __name__ == "__main__":
    main()
