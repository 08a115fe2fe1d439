"""Turn a task definition into a container, as Fargate runs it.

It is given what AWS would give it: the image by its digest, memory and CPU, environment, and secrets looked up by the
parameters that hold them. The emulator's address comes on top: on AWS the clients need none.
"""

from collections.abc import Mapping, Sequence

from devcloud.cloud.cloud import Cloud
from devcloud.cloud.docker import Container

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
    return Container(
        name=name,
        image=container["image"],
        environment={**environment, **_secrets(cloud, references), **cloud.inside()},
        command=command or container.get("command", []),
        memory_mib=int(task["memory"]),
        cpus=int(task["cpu"]) / CPU_UNITS_PER_VCPU,
        user=container.get("user"),
        network_of=network_of,
    )


def network(image: str, name: str, host: str, host_address: str) -> Container:
    """Return the container that holds a task's network, in which the host has its private address.

    The private address is a second one of the host's interface, and stacks' networks may overlap: so each task's
    network has a route of its own to its stack's host. `host` is that host's address on the cloud's network.
    """
    script = f"ip route replace {host_address}/32 via {host} && exec sleep infinity"
    return Container(name=name, image=image, command=["sh", "-c", script], capabilities=["NET_ADMIN"])


def _secrets(cloud: Cloud, references: Mapping[str, str]) -> dict[str, str]:
    """Return the values behind SSM parameters' ARNs, by variable."""
    ssm = cloud.aws.client("ssm")
    return {
        variable: ssm.get_parameter(Name="/" + arn.partition(":parameter/")[2], WithDecryption=True)["Parameter"][
            "Value"
        ]
        for variable, arn in references.items()
    }
