"""Each container of the host sees its own secrets, has the rights of its own role, and reaches no metadata."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from devcloud.cloud.aws import AwsClients
from infra.product import Service, product_of
from tests.cloud.conftest import Checkout, Done
from tests.cloud.isolation import allowed, parameters

pytestmark = pytest.mark.cloud

STACK = "local"
CREDENTIALS = "credentials.json"
FOLDER = "/run/aws"
ACCOUNT = "123456789012"
TOKEN = "curl --silent --fail --max-time 3 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60'"
"""Asks the metadata service for a token; a container's network is entered from the host, so its image needs no curl."""


@dataclass(frozen=True)
class Running:
    """A container on the host, as Docker describes it, and its service."""

    name: str
    service: Service
    described: Mapping[str, Any]

    @property
    def environment(self) -> str:
        return "\n".join(self.described["Config"]["Env"])

    @property
    def credentials_file(self) -> str | None:
        """The file with the credentials of its role, on the host."""
        sources = [each["Source"] for each in self.described["Mounts"] if each["Destination"] == FOLDER]
        return f"{sources[0]}/{CREDENTIALS}" if sources else None


@dataclass(frozen=True)
class Host:
    """The stack's host."""

    checkout: Checkout
    outputs: Mapping[str, Any]

    def run(self, script: str) -> str:
        """Run a script on the host, as root."""
        instance = f"{self.checkout.cloud.network}-{self.outputs['apiInstanceId']}"
        done = self.checkout.docker("exec", instance, "bash", "-c", script)
        assert done.code == 0, done.said
        return done.said

    @property
    def containers(self) -> list[Running]:
        """Every container that runs, one for each service and generation."""
        found = json.loads(self.run("docker inspect $(docker ps --quiet)"))
        services = product_of().services
        return [
            Running(name, services[name], each)
            for each in found
            for name in [each["Config"]["Labels"]["slipway.service"]]
        ]

    def clients(self, container: Running) -> AwsClients:
        """Return clients with the credentials of a container's role."""
        found = json.loads(self.run(f"cat {container.credentials_file}"))
        return AwsClients(
            self.checkout.cloud.endpoint,
            {
                "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
                "AWS_SESSION_TOKEN": found["SessionToken"],
            },
        )

    @property
    def attempts(self) -> Mapping[str, Callable[[AwsClients], object]]:
        """Calls that a container could try. Most are wrong in themselves: one that IAM lets through changes nothing."""
        worker, instance = self.outputs["worker"], self.outputs["apiInstanceId"]
        jobs, dead = worker["queueUrl"], worker["deadLetterQueueUrl"]
        release, role = self.outputs["releaseParameter"], f"arn:aws:iam::{ACCOUNT}:role/slipway-{STACK}-"
        every = sorted(parameters(self.checkout))
        return {
            "send": lambda aws: aws.client("sqs").send_message_batch(
                QueueUrl=jobs, Entries=[{"Id": "twice", "MessageBody": "x"}] * 2
            ),
            "count": lambda aws: aws.client("sqs").get_queue_attributes(QueueUrl=jobs, AttributeNames=["All"]),
            "count dead": lambda aws: aws.client("sqs").get_queue_attributes(QueueUrl=dead, AttributeNames=["All"]),
            "receive": lambda aws: aws.client("sqs").receive_message(QueueUrl=jobs, MaxNumberOfMessages=0),
            "purge": lambda aws: aws.client("sqs").purge_queue(QueueUrl=f"{jobs}-absent"),
            "release": lambda aws: aws.client("ssm").get_parameter(Name=release),
            "releases": lambda aws: aws.client("ssm").get_parameter_history(Name=self.outputs["verifiedParameter"]),
            "write release": lambda aws: aws.client("ssm").put_parameter(
                Name=release, Value="x", Type="Wrong", Overwrite=True
            ),
            **{
                name: lambda aws, name=name: aws.client("ssm").get_parameter(Name=name, WithDecryption=True)
                for name in every
                if name != release
            },
            "parameters": lambda aws: aws.client("ssm").get_parameters(Names=every, WithDecryption=True),
            "command": lambda aws: aws.client("ssm").send_command(
                InstanceIds=[instance], DocumentName="AWS-RunShellScript", Parameters={}
            ),
            "assume": lambda aws: aws.client("sts").assume_role(RoleArn=f"{role}host", RoleSessionName="attempt"),
            "assume api": lambda aws: aws.client("sts").assume_role(
                RoleArn=f"{role}host-api", RoleSessionName="attempt"
            ),
            "users": lambda aws: aws.client("iam").list_users(),
            "policy": lambda aws: aws.client("iam").put_role_policy(
                RoleName=f"slipway-{STACK}-host", PolicyName="x", PolicyDocument="{}"
            ),
            "instances": lambda aws: aws.client("ec2").describe_instances(),
            "images": lambda aws: aws.client("ecr").get_authorization_token(),
        }


EXPECTED = {"jobs:send": {"send", "count"}, "jobs:count": {"count", "count dead"}, "release:read": {"releases"}}
"""The attempts that each permission of product.yaml lets through."""


@pytest.fixture(scope="module")
def host(checkout: Checkout, first_up: Done) -> Host:
    """Return the host as it serves."""
    return Host(checkout, checkout.outputs(STACK))


def test_a_container_does_what_its_permissions_say_and_nothing_else(host: Host) -> None:
    attempts = host.attempts
    seen = {}
    for container in host.containers:
        expected = {each for permission in container.service.permissions for each in EXPECTED[permission]}
        if not container.credentials_file:
            assert not expected, container.name
            continue
        found = allowed(host.clients(container), attempts)
        assert found == expected, container.name
        seen[container.name] = found
    assert seen, "no container has a role"


def test_a_container_sees_its_own_secrets_and_no_others(host: Host) -> None:
    path = f"/slipway/{STACK}/"
    values = {name.removeprefix(path): value for name, value in parameters(host.checkout).items()}
    every = {name for name in values if name.rpartition("/")[2] in product_of().secrets}
    for container in host.containers:
        own = [values[name] for name in container.service.secrets]
        assert all(value in container.environment for value in own), container.name
        for name in sorted(every - set(container.service.secrets)):
            # A password may be part of an address that a service has.
            if not any(values[name] in value for value in own):
                assert values[name] not in container.environment, f"{container.name} has {name}"


def test_no_container_has_the_hosts_own_credentials_or_reaches_its_metadata(host: Host) -> None:
    containers = host.containers
    pids = " ".join(str(each.described["State"]["Pid"]) for each in containers)
    machine = json.loads(host.run("cat /etc/devcloud/machine.json"))
    # Where AWS has it, and where the host's network leads that to.
    for address in ("169.254.169.254", f"{machine['gateway']}:{machine['metadataPort']}"):
        ask = f"{TOKEN} http://{address}/latest/api/token"
        each = f'for pid in {pids}; do (nsenter --target $pid --net {ask}; echo "$pid exit $?") & done; wait'
        said = host.run(f"{each}; {ask} > /dev/null; echo host exit $?")
        assert "host exit 0" in said  # so it would be an answer
        # 28: no answer in time; 7: refused.
        ended = [line for line in said.splitlines() if " exit " in line and not line.startswith("host")]
        assert len(ended) == len(containers), said
        assert all(line.rpartition(" ")[2] in ("7", "28") for line in ended), said
    by_header = f"{TOKEN} --header 'Host: 169.254.169.254' {machine['aws']}/latest/api/token"
    assert "exit 22" in host.run(f"{by_header}; echo exit $?")  # 403, even to the host
    for container in containers:
        assert "AWS_ACCESS_KEY_ID" not in container.environment
        mounted = {each["Destination"] for each in container.described["Mounts"]}
        assert not {"/var/run/docker.sock", "/run/docker.sock", "/", "/run"} & mounted, container.name
