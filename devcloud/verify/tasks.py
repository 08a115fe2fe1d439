"""Turn a task definition into a container, as Fargate runs it.

It is given what AWS would give it: the image by its digest, memory and CPU, environment, and secrets looked up by the
parameters that hold them. The emulator's address comes on top: on AWS the clients need none.
"""

from collections.abc import Mapping, Sequence

from devcloud.cloud.cloud import Cloud
from devcloud.cloud.docker import Container

CPU_UNITS_PER_VCPU = 1024


def container_of(cloud: Cloud, definition: str, name: str, command: Sequence[str] = ()) -> Container:
    """Return the only container of a task definition, within the task's limits."""
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
    )


def _secrets(cloud: Cloud, references: Mapping[str, str]) -> dict[str, str]:
    """Return the values behind SSM parameters' ARNs, by variable."""
    ssm = cloud.aws.client("ssm")
    return {
        variable: ssm.get_parameter(Name="/" + arn.partition(":parameter/")[2], WithDecryption=True)["Parameter"][
            "Value"
        ]
        for variable, arn in references.items()
    }
