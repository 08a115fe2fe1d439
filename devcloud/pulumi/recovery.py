"""Resources whose creation a killed run did not live to record: found by name or tag and imported, or cleared.

The engine notes a creation before it begins. Where the run is killed in the middle, the resource may exist without
the state knowing its id: creating it again would fail, or leave the first one behind for good.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from devcloud.cloud.aws import AwsClients
from devcloud.util.console import row

Finder = Callable[[AwsClients, Mapping[str, Any]], str | None]
"""Return the id of a resource that has these inputs, or None."""


@dataclass(frozen=True)
class Pending:
    """A creation that was begun."""

    urn: str
    type: str
    inputs: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.urn.rpartition("::")[2]


def pending_creates(state: Mapping[str, Any]) -> list[Pending]:
    """The creations that a stack's exported state says were begun and not ended.

    One that was to replace a resource which is still there is left out: what its name or tag would find is that
    resource, which the state has. The engine begins that creation again.
    """
    deployment = state.get("deployment") or {}
    known = {
        resource["urn"] for resource in deployment.get("resources") or [] if not resource.get("pendingReplacement")
    }
    return [
        Pending(operation["resource"]["urn"], operation["resource"]["type"], operation["resource"].get("inputs") or {})
        for operation in deployment.get("pending_operations") or []
        if operation["type"] == "creating" and operation["resource"]["urn"] not in known
    ]


def interrupted(state: Mapping[str, Any]) -> bool:
    """Whether a run was killed while it created, changed or deleted something: what is there has to be read."""
    return bool((state.get("deployment") or {}).get("pending_operations"))


def find(pending: list[Pending], aws: AwsClients) -> dict[str, str]:
    """Return the ids of those resources that exist, by URN, and print each."""
    found: dict[str, str] = {}
    for resource in pending:
        identity = identify(resource, aws)
        row("recover", f"{resource.name}: {'exists, taken into the state' if identity else 'to be created again'}")
        if identity:
            found[resource.urn] = identity
    return found


def adopted(state: Mapping[str, Any], found: Mapping[str, str]) -> dict[str, Any]:
    """The state with the resources that exist in it, by their ids, and nothing pending any more.

    A refresh then reads what they are. (`pulumi refresh --import-pending-creates` marks a creation as an import, which
    the engine of 3.259 then forgets.)
    """
    deployment = dict(state["deployment"])
    operations = deployment.pop("pending_operations", None) or []
    resources = [
        {**operation["resource"], "id": found[operation["resource"]["urn"]]}
        for operation in operations
        if operation["type"] == "creating" and operation["resource"]["urn"] in found
    ]
    # What was deleted to be replaced by one of them is there no more.
    kept = [resource for resource in deployment.get("resources") or [] if resource["urn"] not in found]
    deployment["resources"] = [*kept, *resources]
    return {**state, "deployment": deployment}


def unread(state: Mapping[str, Any]) -> list[str]:
    """The names of resources that are in a state by their ids, but were never read: nothing is known of them.

    A run that was killed after it took them in, and before its refresh was done, leaves them so. An `up` would take
    each for one that changed in everything, and replace it.
    """
    resources = (state.get("deployment") or {}).get("resources") or []
    return [
        resource["urn"].rpartition("::")[2]
        for resource in resources
        if resource.get("id") and resource["type"] in FINDERS and not resource.get("outputs")
    ]


def identify(resource: Pending, aws: AwsClients) -> str | None:
    """Return the id by which the provider reads a resource, or None if it does not exist.

    A kind that is not in FINDERS is either made by an idempotent call (a policy put in its place, a rule that is read
    back by its parts) or is no AWS resource: creating it again is right.
    """
    finder = FINDERS.get(resource.type)
    if finder is None:
        return None
    try:
        return finder(aws, resource.inputs)
    except (ClientError, KeyError, IndexError):
        return None


def _named(operation: str, argument: str, service: str) -> Finder:
    """For a resource whose id is its name: exists where describing it succeeds."""

    def find(aws: AwsClients, inputs: Mapping[str, Any]) -> str | None:
        name: str = inputs["name"]
        many = argument.endswith("s")
        answer = getattr(aws.client(service), operation)(**{argument: [name] if many else name})
        lists = [value for value in answer.values() if isinstance(value, list)]
        return None if many and not any(lists) else name

    return find


def _tagged(operation: str, key: str, identity: str) -> Finder:
    """Find an EC2 object by its Name tag."""

    def find(aws: AwsClients, inputs: Mapping[str, Any]) -> str:
        filters = [{"Name": "tag:Name", "Values": [inputs["tags"]["Name"]]}]
        answer = getattr(aws.client("ec2"), operation)(Filters=filters)
        found: str = answer[key][0][identity]
        return found

    return find


def _parameter(aws: AwsClients, inputs: Mapping[str, Any]) -> str | None:
    """Deletes a parameter that the killed run made, to be made again: there is nothing in it but its inputs.

    Taken into the state it would be read into `value` and not `insecure_value`, and every later plan would show a
    change. Only a cloud on this machine is ever recovered, so no parameter of anybody else's is in reach.
    """
    aws.client("ssm").delete_parameter(Name=inputs["name"])
    return None


def _instance(aws: AwsClients, inputs: Mapping[str, Any]) -> str | None:
    filters = [
        {"Name": "tag:Name", "Values": [inputs["tags"]["Name"]]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    reservations = aws.client("ec2").describe_instances(Filters=filters)["Reservations"]
    found: str = reservations[0]["Instances"][0]["InstanceId"]
    return found


def _log_group(aws: AwsClients, inputs: Mapping[str, Any]) -> str | None:
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=inputs["name"])["logGroups"]
    return inputs["name"] if any(group["logGroupName"] == inputs["name"] for group in groups) else None


def _queue(aws: AwsClients, inputs: Mapping[str, Any]) -> str | None:
    url: str = aws.client("sqs").get_queue_url(QueueName=inputs["name"])["QueueUrl"]
    return url


def _cluster(aws: AwsClients, inputs: Mapping[str, Any]) -> str | None:
    clusters = aws.client("ecs").describe_clusters(clusters=[inputs["name"]])["clusters"]
    return next((inputs["name"] for cluster in clusters if cluster["status"] == "ACTIVE"), None)


def _service(aws: AwsClients, inputs: Mapping[str, Any]) -> str | None:
    services = aws.client("ecs").describe_services(cluster=inputs["cluster"], services=[inputs["name"]])["services"]
    cluster = inputs["cluster"].rpartition("/")[2]
    return next((f"{cluster}/{inputs['name']}" for service in services if service["status"] == "ACTIVE"), None)


FINDERS: Mapping[str, Finder] = {
    "aws:ecr/repository:Repository": _named("describe_repositories", "repositoryNames", "ecr"),
    "aws:iam/role:Role": _named("get_role", "RoleName", "iam"),
    "aws:iam/instanceProfile:InstanceProfile": _named("get_instance_profile", "InstanceProfileName", "iam"),
    "aws:ssm/document:Document": _named("describe_document", "Name", "ssm"),
    "aws:ssm/parameter:Parameter": _parameter,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:sqs/queue:Queue": _queue,
    "aws:ecs/cluster:Cluster": _cluster,
    "aws:ecs/service:Service": _service,
    "aws:ec2/instance:Instance": _instance,
    "aws:ec2/vpc:Vpc": _tagged("describe_vpcs", "Vpcs", "VpcId"),
    "aws:ec2/subnet:Subnet": _tagged("describe_subnets", "Subnets", "SubnetId"),
    "aws:ec2/internetGateway:InternetGateway": _tagged(
        "describe_internet_gateways", "InternetGateways", "InternetGatewayId"
    ),
    "aws:ec2/routeTable:RouteTable": _tagged("describe_route_tables", "RouteTables", "RouteTableId"),
    "aws:ec2/securityGroup:SecurityGroup": _tagged("describe_security_groups", "SecurityGroups", "GroupId"),
    "aws:ec2/networkInterface:NetworkInterface": _tagged(
        "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"
    ),
    "aws:ec2/eip:Eip": _tagged("describe_addresses", "Addresses", "AllocationId"),
    "aws:ebs/volume:Volume": _tagged("describe_volumes", "Volumes", "VolumeId"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _tagged(
        "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _tagged(
        "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"
    ),
}
