"""Recover resources whose creation a killed run did not live to record.

Pulumi notes each creation before it begins. If the run is killed meanwhile, the resource may exist, but the state does
not know its id: to create it again would fail, or leave the first one behind for good. So each is looked up by its name
or tag, and taken into the state if it exists.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from devcloud.cloud.aws import AwsClients
from devcloud.util.console import row

Finder = Callable[[AwsClients, Mapping[str, Any]], str | None]
"""Return the id of the resource with these inputs. If there is none, return None, or fail as the AWS call does."""


def interrupted(state: Mapping[str, Any]) -> bool:
    """Return whether a run was killed while it changed something: the state must be refreshed."""
    return bool(_deployment(state).get("pending_operations"))


def recovered(state: Mapping[str, Any], aws: AwsClients) -> dict[str, Any]:
    """Return a stack's state with the resources that a killed run created, by their ids, and nothing pending.

    A refresh then reads the rest of them. (`pulumi refresh --import-pending-creates` marks a creation as an import,
    which Pulumi 3.259 then forgets.) Print what is done about each.
    """
    # If a resource that was to be replaced still exists, its name or tag would find it, and the state has it already:
    # Pulumi begins such a creation again.
    known = {resource["urn"] for resource in _resources(state) if not resource.get("pendingReplacement")}
    found: dict[str, dict[str, Any]] = {}
    for operation in _deployment(state).get("pending_operations") or []:
        resource = operation["resource"]
        if operation["type"] == "creating" and resource["urn"] not in known:
            identity = _identify(resource, aws)
            done = "exists, taken into the state" if identity else "to be created again"
            row("recover", f"{_name(resource)}: {done}")
            if identity:
                found[resource["urn"]] = {**resource, "id": identity}
    # A resource that was deleted to be replaced by one of them does not exist any more.
    kept = [resource for resource in _resources(state) if resource["urn"] not in found]
    deployment = {key: value for key, value in _deployment(state).items() if key != "pending_operations"}
    return {**state, "deployment": {**deployment, "resources": [*kept, *found.values()]}}


def unread(state: Mapping[str, Any]) -> list[str]:
    """Return the names of resources whose ids are in the state, but nothing else: they were adopted, not refreshed.

    A run that is killed after it adopted them and before its refresh leaves them so. An `up` would see a change in each
    property, and replace them.
    """
    return [
        _name(resource)
        for resource in _resources(state)
        if resource.get("id") and resource["type"] in FINDERS and not resource.get("outputs")
    ]


def _deployment(state: Mapping[str, Any]) -> Mapping[str, Any]:
    return state.get("deployment") or {}


def _resources(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    return _deployment(state).get("resources") or []


def _name(resource: Mapping[str, Any]) -> str:
    name: str = resource["urn"].rpartition("::")[2]
    return name


def _identify(resource: Mapping[str, Any], aws: AwsClients) -> str | None:
    """Return the id by which the provider reads a resource, or None if it is to be created again.

    That is right too for a type that is not in FINDERS: it is created by an idempotent call, or is not of AWS.
    """
    try:
        return FINDERS[resource["type"]](aws, resource.get("inputs") or {})
    except (ClientError, KeyError, IndexError):
        return None


def _named(service: str, operation: str, argument: str) -> Finder:
    """Find a resource whose id is its name, by an operation that fails if it does not exist."""

    def find(aws: AwsClients, inputs: Mapping[str, Any]) -> str:
        name: str = inputs["name"]
        getattr(aws.client(service), operation)(**{argument: [name] if argument.endswith("s") else name})
        return name

    return find


def _tagged(operation: str, *path: str, also: Sequence[Mapping[str, object]] = ()) -> Finder:
    """Find an EC2 object by its Name tag, and `also` by other filters.

    `path` leads to its id in the answer, through the first item of each list.
    """

    def find(aws: AwsClients, inputs: Mapping[str, Any]) -> str:
        filters = [{"Name": "tag:Name", "Values": [inputs["tags"]["Name"]]}, *also]
        answer = getattr(aws.client("ec2"), operation)(Filters=filters)
        for key in path[:-1]:
            answer = answer[key][0]
        found: str = answer[path[-1]]
        return found

    return find


def _parameter(aws: AwsClients, inputs: Mapping[str, Any]) -> None:
    """Delete a parameter: the state could not take it in, and it holds nothing but its inputs.

    It would be read into `value` instead of `insecure_value`, and every later plan would show a change. Only a cloud on
    this machine is ever recovered, so this reaches nobody else's parameters.
    """
    aws.client("ssm").delete_parameter(Name=inputs["name"])


def _queue(aws: AwsClients, inputs: Mapping[str, Any]) -> str:
    url: str = aws.client("sqs").get_queue_url(QueueName=inputs["name"])["QueueUrl"]
    return url


def _cluster(aws: AwsClients, inputs: Mapping[str, Any]) -> str | None:
    clusters = aws.client("ecs").describe_clusters(clusters=[inputs["name"]])["clusters"]
    return next((inputs["name"] for cluster in clusters if cluster["status"] == "ACTIVE"), None)


def _service(aws: AwsClients, inputs: Mapping[str, Any]) -> str | None:
    services = aws.client("ecs").describe_services(cluster=inputs["cluster"], services=[inputs["name"]])["services"]
    cluster = inputs["cluster"].rpartition("/")[2]
    return next((f"{cluster}/{inputs['name']}" for service in services if service["status"] == "ACTIVE"), None)


def _snapshot_policy(aws: AwsClients, inputs: Mapping[str, Any]) -> str | None:
    """Find a policy by its description, which names the stack. It has no name, and a second one would work too."""
    policies = aws.client("dlm").get_lifecycle_policies()["Policies"]
    return next((each["PolicyId"] for each in policies if each["Description"] == inputs["description"]), None)


NOT_TERMINATED = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}

FINDERS: Mapping[str, Finder] = {
    "aws:cloudwatch/logGroup:LogGroup": _named("logs", "describe_log_streams", "logGroupName"),
    "aws:dlm/lifecyclePolicy:LifecyclePolicy": _snapshot_policy,
    "aws:ebs/volume:Volume": _tagged("describe_volumes", "Volumes", "VolumeId"),
    "aws:ec2/eip:Eip": _tagged("describe_addresses", "Addresses", "AllocationId"),
    "aws:ec2/instance:Instance": _tagged(
        "describe_instances", "Reservations", "Instances", "InstanceId", also=[NOT_TERMINATED]
    ),
    "aws:ec2/internetGateway:InternetGateway": _tagged(
        "describe_internet_gateways", "InternetGateways", "InternetGatewayId"
    ),
    "aws:ec2/routeTable:RouteTable": _tagged("describe_route_tables", "RouteTables", "RouteTableId"),
    "aws:ec2/securityGroup:SecurityGroup": _tagged("describe_security_groups", "SecurityGroups", "GroupId"),
    "aws:ec2/networkInterface:NetworkInterface": _tagged(
        "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"
    ),
    "aws:ec2/subnet:Subnet": _tagged("describe_subnets", "Subnets", "SubnetId"),
    "aws:ec2/vpc:Vpc": _tagged("describe_vpcs", "Vpcs", "VpcId"),
    "aws:ecr/repository:Repository": _named("ecr", "describe_repositories", "repositoryNames"),
    "aws:ecs/cluster:Cluster": _cluster,
    "aws:ecs/service:Service": _service,
    "aws:iam/instanceProfile:InstanceProfile": _named("iam", "get_instance_profile", "InstanceProfileName"),
    "aws:iam/role:Role": _named("iam", "get_role", "RoleName"),
    "aws:sqs/queue:Queue": _queue,
    "aws:ssm/document:Document": _named("ssm", "describe_document", "Name"),
    "aws:ssm/parameter:Parameter": _parameter,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _tagged(
        "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _tagged(
        "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"
    ),
}
"""By type. Types that an idempotent call creates (a policy that is put in its place) need none."""
