"""A task definition as a container: its limits, its environment, and secrets by their parameters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from devcloud.cloud.cloud import Cloud, Ports
from devcloud.verify import tasks
from devcloud.verify.tasks import container_of, network

IMAGE = f"127.0.0.1:5000/slipway-local/worker@sha256:{'a' * 64}"
ARN = "arn:aws:ssm:us-east-1:123456789012:parameter/slipway/local/database-url"


TASK = "arn:aws:ecs:us-east-1:123456789012:task/a-name"


class Emulator:
    """Answers the two calls that are needed, for this task and this parameter alone."""

    def __init__(self, endpoint: str = "", credentials: Mapping[str, str] | None = None) -> None:
        self.key = (credentials or {}).get("AWS_ACCESS_KEY_ID", "operator")

    def client(self, service: str) -> Any:
        assert (service, self.key) in (("ecs", "operator"), ("ssm", "key of execution"))
        return self

    def describe_task_definition(self, taskDefinition: str) -> dict[str, Any]:  # noqa: N803  boto3's names, here and below
        assert taskDefinition == "worker:7"
        container = {
            "image": IMAGE,
            "command": ["--work"],
            "user": "10001:10001",
            "environment": [{"name": "AWS_REGION", "value": "us-east-1"}],
            "secrets": [{"name": "DATABASE_URL", "valueFrom": ARN}],
        }
        task = {"cpu": "512", "memory": "3072", "containerDefinitions": [container]}
        task |= {"taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/worker:7"}
        return {"taskDefinition": task | {"executionRoleArn": "execution", "taskRoleArn": "task"}}

    def get_parameters(self, Names: list[str], WithDecryption: bool) -> dict[str, Any]:  # noqa: N803
        assert (Names, WithDecryption) == (["/slipway/local/database-url"], True)
        return {"Parameters": [{"Name": Names[0], "Value": "postgresql://one"}]}


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    found = Cloud("test", tmp_path)
    found.__dict__["ports"] = Ports(aws=4566, ecr=5000, registry=5001, databases="127.83.1.1")
    found.__dict__["aws"] = Emulator()
    monkeypatch.setattr(tasks, "AwsClients", Emulator)
    monkeypatch.setattr(
        tasks, "credentials", lambda _, role, task: {"AWS_ACCESS_KEY_ID": f"key of {role}"} if task == TASK else {}
    )
    return found


def test_a_task_gets_its_limits_its_environment_and_its_secrets(cloud: Cloud) -> None:
    container = container_of(cloud, "worker:7", "a-name")
    assert (container.image, container.memory_mib, container.cpus, container.user) == (IMAGE, 3072, 0.5, "10001:10001")
    assert container.environment["DATABASE_URL"] == "postgresql://one"
    assert container.environment["AWS_ACCESS_KEY_ID"] == "key of task"
    assert container.environment["AWS_REGION"] == "us-east-1"
    assert container.environment["AWS_ENDPOINT_URL"] == "http://host.docker.internal:4566"
    assert container.command == ["--work"]


def test_another_command_takes_the_place_of_the_tasks_own(cloud: Cloud) -> None:
    assert container_of(cloud, "worker:7", "a-name", ["--self-test"]).command == ["--self-test"]


def test_a_tasks_network_leads_to_the_private_address_of_its_stacks_host(cloud: Cloud) -> None:
    held = network("devcloud/host:1", "a-network", "172.18.0.4", "10.20.0.11", ["sg-1"])
    assert held.command == ["sh", "-c", "ip route replace 10.20.0.11/32 via 172.18.0.4 && exec sleep infinity"]
    assert (held.capabilities, held.groups) == (["NET_ADMIN"], ["sg-1"])
    task = container_of(cloud, "worker:7", "a-name", network_of=held.name)
    assert (task.network_of, task.capabilities) == ("a-network", ())
