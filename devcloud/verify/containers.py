"""What the program declared, run as containers: a task definition as by Fargate, the API's release as by its host.

Both are given what AWS would give them: the image by its digest, memory and CPU, environment, and secrets looked up
by the parameters that hold them. The emulator's address comes on top: on AWS the clients need none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from devcloud.cloud.cloud import Cloud
from devcloud.cloud.docker import Container
from infra.lib.release import parse

CPU_UNITS_PER_VCPU = 1024
API_PORT = 8000
PORTS = {"api": API_PORT, "dashboard": 8001, "auth": 8002, "caddy": 8080}
"""What each service of the API's host listens on, in its container."""
EDGE = "caddy"
"""The service that the world talks to; the others stand behind it."""


class Workloads:
    """What a stack declared, as containers of one cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def secrets(self, references: Mapping[str, str]) -> dict[str, str]:
        """The values behind SSM parameters' ARNs, by variable."""
        ssm = self.cloud.aws.client("ssm")
        values = {}
        for variable, arn in references.items():
            name = "/" + arn.partition(":parameter/")[2]
            values[variable] = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        return values

    def task(self, definition: str, name: str, command: Sequence[str] = ()) -> Container:
        """The only container of a task definition, within the task's limits."""
        task = self.cloud.aws.client("ecs").describe_task_definition(taskDefinition=definition)["taskDefinition"]
        (container,) = task["containerDefinitions"]
        environment = {entry["name"]: entry["value"] for entry in container.get("environment", [])}
        references = {entry["name"]: entry["valueFrom"] for entry in container.get("secrets", [])}
        return Container(
            name=name,
            image=container["image"],
            environment={**environment, **self.secrets(references), **self.cloud.inside()},
            command=command or container.get("command", []),
            memory_mib=int(task["memory"]),
            cpus=int(task["cpu"]) / CPU_UNITS_PER_VCPU,
            user=container.get("user"),
        )

    def release(self, outputs: Mapping[str, Any]) -> dict[str, str]:
        """What the API's host is to serve: each service's image, by digest."""
        document = self.cloud.aws.client("ssm").get_parameter(Name=outputs["releaseParameter"])["Parameter"]["Value"]
        return dict(parse(document, f"The release in {outputs['releaseParameter']}").services)

    def service(
        self, outputs: Mapping[str, Any], service: str, image: str, names: Mapping[str, str], memory_mib: int
    ) -> Container:
        """One service of the release, as its host would run it.

        `names` are the containers' names by service: by them the edge finds the others on their network. The port of
        whatever stands in front (the edge; without one, each service) is published.
        """
        if service == EDGE:
            environment = {
                f"{other.upper()}_UPSTREAM": f"{names[other]}:{port}"
                for other, port in PORTS.items()
                if other != EDGE and other in names
            }
        else:
            environment = {
                **outputs["apiEnvironment"],
                **self.secrets(outputs["apiSecrets"]),
                **self.cloud.inside(),
                "SERVICE_TYPE": service,
            }
        in_front = service == EDGE or (EDGE not in names and service in PORTS)
        return Container(
            name=names[service],
            image=image,
            environment=environment,
            memory_mib=memory_mib,
            publish=PORTS[service] if in_front else None,
        )
