"""Turn a task definition into a container, as Fargate runs it.

It is given what AWS would give it: the image by its digest, memory and CPU, environment, secrets that its execution
role reads from the parameters that hold them, and its own role's credentials. The emulator's address comes on top: on
AWS the clients need none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from devcloud.cloud.aws import AwsClients
from devcloud.cloud.cloud import Cloud
from devcloud.cloud.docker import Container
from devcloud.cloud.task_roles import credentials

CPU_UNITS_PER_VCPU = 1024


def container_of(
    cloud: Cloud, definition: str, name: str, command: Sequence[str] = (), network_of: str | None = None
) -> Container:
    """Return the only container of a task definition, within the task's limits.

    `network_of` is the container that holds its network.
    """
    task = cloud.aws.client("ecs").describe_task_definition(taskDefinition=definition)["taskDefinition"]
    (container,) = task["containerDefinitions"]
    environment = {entry["name"]: entry["value"] for entry in container.get("environment", [])}
    references = {entry["name"]: entry["valueFrom"] for entry in container.get("secrets", [])}
    # As ECS names a task: of this account and region.
    task_arn = f"{task['taskDefinitionArn'].partition(':task-definition/')[0]}:task/{name}"
    if references:
        execution = AwsClients(cloud.endpoint, credentials(cloud, task["executionRoleArn"], task_arn)).client("ssm")
        environment |= _secrets(execution, references)
    if task.get("taskRoleArn"):
        environment |= credentials(cloud, task["taskRoleArn"], task_arn)
    return Container(
        name=name,
        image=container["image"],
        environment={**environment, **cloud.inside()},
        command=command or container.get("command", []),
        memory_mib=int(task["memory"]),
        cpus=int(task["cpu"]) / CPU_UNITS_PER_VCPU,
        user=container.get("user"),
        network_of=network_of,
    )


def groups_of(cloud: Cloud, cluster: str, service: str) -> Sequence[str]:
    """Return the security groups of a service's tasks."""
    (found,) = cloud.aws.client("ecs").describe_services(cluster=cluster, services=[service])["services"]
    groups: Sequence[str] = found["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"]
    return groups


def network(image: str, name: str, host: str, host_address: str, groups: Sequence[str]) -> Container:
    """Return the container that holds a task's network, in these security groups, with the host's private address.

    The private address is a second one of the host's interface, and stacks' networks may overlap: so each task's
    network has a route of its own to its stack's host. `host` is that host's address on the cloud's network.
    """
    script = f"ip route replace {host_address}/32 via {host} && exec sleep infinity"
    return Container(name=name, image=image, command=["sh", "-c", script], capabilities=["NET_ADMIN"], groups=groups)


def _secrets(ssm: Any, references: Mapping[str, str]) -> dict[str, str]:
    """Return the values behind SSM parameters' ARNs, by variable."""
    names = {variable: "/" + arn.partition(":parameter/")[2] for variable, arn in references.items()}
    # GetParameters is what ECS's agent asks, and what an execution role is given.
    found = ssm.get_parameters(Names=sorted(set(names.values())), WithDecryption=True)["Parameters"]
    values = {each["Name"]: each["Value"] for each in found}
    return {variable: values[name] for variable, name in names.items()}
