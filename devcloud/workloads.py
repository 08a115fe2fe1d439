"""What the program declared, run as containers: a task definition as by Fargate, the API's release as by its host.

Both are given what AWS would give them: the image by its digest, memory and CPU, environment, and secrets looked up
by the parameters that hold them. The emulator's address comes on top: on AWS the clients need none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import boto3

from devcloud.cloud import REGION, Cloud
from devcloud.docker import Container
from infra.releases.release import parse

CPU_UNITS_PER_VCPU = 1024
API_PORT = 8000
PORTS = {"api": API_PORT, "dashboard": 8001, "auth": 8002, "caddy": 8080}
"""What each service of the API's host listens on, in its container."""
EDGE = "caddy"
"""The service that the world talks to; the others stand behind it."""


class Account:
    """The emulator's account, as boto3 sees it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._session = boto3.Session(
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106  the emulator takes any
            region_name=REGION,
        )

    def client(self, service: str) -> Any:
        """A client of one of its services."""
        return self._session.client(service, endpoint_url=self.cloud.endpoint)  # type: ignore[call-overload]

    def secrets(self, references: Mapping[str, str]) -> dict[str, str]:
        """The values behind SSM parameters' ARNs, by variable."""
        ssm = self.client("ssm")
        values = {}
        for variable, arn in references.items():
            name = "/" + arn.partition(":parameter/")[2]
            values[variable] = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        return values

    def inside(self) -> dict[str, str]:
        """What a container needs to find the emulator where on AWS it would find AWS."""
        return {
            "AWS_ENDPOINT_URL": f"http://host.docker.internal:{self.cloud.ports.aws}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }

    def task(self, definition: str, name: str, command: Sequence[str] = ()) -> Container:
        """The only container of a task definition, within the task's limits."""
        task = self.client("ecs").describe_task_definition(taskDefinition=definition)["taskDefinition"]
        (container,) = task["containerDefinitions"]
        environment = {entry["name"]: entry["value"] for entry in container.get("environment", [])}
        references = {entry["name"]: entry["valueFrom"] for entry in container.get("secrets", [])}
        return Container(
            name=name,
            image=container["image"],
            environment={**environment, **self.secrets(references), **self.inside()},
            command=command or container.get("command", []),
            memory_mib=int(task["memory"]),
            cpus=int(task["cpu"]) / CPU_UNITS_PER_VCPU,
            user=container.get("user"),
        )

    def release(self, outputs: Mapping[str, Any]) -> dict[str, str]:
        """What the API's host is to serve: each service's image, by digest."""
        document = self.client("ssm").get_parameter(Name=outputs["releaseParameter"])["Parameter"]["Value"]
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
                **self.inside(),
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
