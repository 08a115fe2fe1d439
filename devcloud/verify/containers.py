"""Turn what a stack declared into containers: a task definition as Fargate runs it, a release as its host does.

Both are given what AWS would give them: the image by its digest, memory and CPU, environment, and secrets looked up by
the parameters that hold them. The emulator's address comes on top: on AWS the clients need none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devcloud.cloud.cloud import Cloud
from devcloud.cloud.docker import Container
from infra.outputs import StackOutputs
from infra.releases.release import parse

CPU_UNITS_PER_VCPU = 1024


@dataclass(frozen=True)
class Way:
    """How a service is reached from this machine."""

    service: str
    """The service whose container publishes the port: the edge, or the service itself."""
    path: str
    """Path that is answered without an account when the service is well."""


def way_to(outputs: StackOutputs, name: str) -> Way:
    """Return the way to a service: through the edge if it has a route, as a browser goes."""
    service = outputs.services[name]
    edge = edge_of(outputs)
    if edge is None or service.route is None:
        return Way(name, service.health)
    return Way(edge, f"{service.route}{service.health}" if service.strip else service.health)


def edge_of(outputs: StackOutputs) -> str | None:
    """Return the service that the world talks to."""
    return next((name for name, service in outputs.services.items() if service.edge), None)


class Workloads:
    """Make containers of what a stack declared, for one cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def secrets(self, references: Mapping[str, str]) -> dict[str, str]:
        """Return the values behind SSM parameters' ARNs, by variable."""
        ssm = self.cloud.aws.client("ssm")
        values = {}
        for variable, arn in references.items():
            name = "/" + arn.partition(":parameter/")[2]
            values[variable] = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        return values

    def task(self, definition: str, name: str, command: Sequence[str] = ()) -> Container:
        """Return the only container of a task definition, within the task's limits."""
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

    def release(self, outputs: StackOutputs) -> dict[str, str]:
        """Return what the API's host is to serve: each service's image, by digest."""
        parameter = outputs.release_parameter
        document = self.cloud.aws.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
        return dict(parse(document, f"The release in {parameter}").services)

    def service(self, outputs: StackOutputs, name: str, image: str, names: Mapping[str, str]) -> Container:
        """Return one service of the release, as its host would run it.

        `names` are the containers' names by service: by them the edge finds the others on their network. The port of a
        service is published only if nothing stands in front of it.
        """
        service = outputs.services[name]
        if service.edge:
            upstreams = {
                f"{other.upper().replace('-', '_')}_UPSTREAM": f"{names[other]}:{described.port}"
                for other, described in outputs.services.items()
                if described.route
            }
            environment = {**service.environment, **upstreams}
        else:
            environment = {**service.environment, **self.secrets(service.secrets), **self.cloud.inside()}
        return Container(
            name=names[name],
            image=image,
            environment=environment,
            memory_mib=service.memory_mib or outputs.host_memory_mib,
            publish=service.port if way_to(outputs, name).service == name else None,
        )
