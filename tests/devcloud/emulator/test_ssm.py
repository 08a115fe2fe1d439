"""SSM: how long a parameter may be, associations, and the instances that it manages."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from devcloud.emulator.machine_api import TOKEN_HEADER

from .conftest import Emulator
from .refusals import refusal

pytestmark = pytest.mark.cloud

AGENT_POLICY = "AmazonSSMManagedInstanceCore"
"""AWS's own policy of what an instance's agent needs."""


@pytest.fixture
def instance(ec2: Any, iam: Any, name: str) -> Iterator[str]:
    """An instance with a role."""
    trusted = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = {"Version": "2012-10-17", "Statement": [trusted]}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(policy))
    iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{AGENT_POLICY}")
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    started = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, IamInstanceProfile={"Name": name})
    instance_id = started["Instances"][0]["InstanceId"]
    yield instance_id
    ec2.terminate_instances(InstanceIds=[instance_id])


class Agent:
    """An agent at an address that the data plane has reported: this process's."""

    def __init__(self, emulator: Emulator, instance: str) -> None:
        self.emulator = emulator
        self.instance = instance

    @property
    def headers(self) -> dict[str, str]:
        """The instance's token, which the data plane is given."""
        listed = self.emulator.send("GET", "/_devcloud/instances").json()["instances"]
        return {TOKEN_HEADER: next(each["token"] for each in listed if each["id"] == self.instance)}

    def register(self) -> None:
        """Let the instance have this address, and ask for commands; do not wait for one."""
        self.emulator.send("POST", f"/_devcloud/instances/{self.instance}", {"address": "127.0.0.1"}).raise_for_status()
        with contextlib.suppress(httpx.ReadTimeout):
            self.ask("poll", {}, timeout=0.3)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a request as the agent does."""
        answer = self.ask(path, body)
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    def ask(self, path: str, body: dict[str, Any], timeout: float = 30) -> httpx.Response:
        """Send a request that may be refused."""
        url = f"{self.emulator.aws}/_devcloud/agent/{path}"
        return httpx.post(url, json=body, headers=self.headers, timeout=timeout, trust_env=False)


def managed(ssm: Any) -> list[str]:
    """The ids of the instances that SSM manages."""
    found = ssm.describe_instance_information()["InstanceInformationList"]
    return [each["InstanceId"] for each in found]


@pytest.mark.parametrize("kind", ["String", "SecureString"])
def test_a_standard_parameter_holds_4096_bytes_and_no_more(ssm: Any, name: str, kind: str) -> None:
    ssm.put_parameter(Name=f"/{name}", Type=kind, Value="x" * 4096)
    with pytest.raises(ClientError) as caught:
        ssm.put_parameter(Name=f"/{name}", Type=kind, Value="x" * 4097, Overwrite=True)
    code, message = refusal(caught)
    assert code == "ValidationException"
    assert message.startswith("Standard tier parameters support a maximum parameter value of 4096 characters.")
    assert ssm.get_parameter(Name=f"/{name}", WithDecryption=True)["Parameter"]["Value"] == "x" * 4096


def test_it_is_bytes_that_count(ssm: Any, name: str) -> None:
    with pytest.raises(ClientError):
        ssm.put_parameter(Name=f"/{name}", Type="String", Value="é" * 2049)


def test_an_advanced_parameter_holds_8192_bytes_and_stays_advanced(ssm: Any, name: str) -> None:
    put = ssm.put_parameter(Name=f"/{name}", Type="String", Value="x" * 8192, Tier="Advanced")
    assert put["Tier"] == "Advanced"
    assert ssm.put_parameter(Name=f"/{name}", Value="y" * 5000, Overwrite=True)["Tier"] == "Advanced"
    with pytest.raises(ClientError, match="8192"):
        ssm.put_parameter(Name=f"/{name}", Value="x" * 8193, Overwrite=True)


def test_intelligent_tiering_goes_by_the_size(ssm: Any, name: str) -> None:
    for size, tier in ((4096, "Standard"), (4097, "Advanced"), (10, "Advanced")):
        put = ssm.put_parameter(
            Name=f"/{name}", Type="String", Value="x" * size, Tier="Intelligent-Tiering", Overwrite=True
        )
        assert put["Tier"] == tier


def test_the_current_al2023_image_is_a_public_parameter(ssm: Any) -> None:
    path = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    assert ssm.get_parameter(Name=path)["Parameter"]["Value"].startswith("ami-")


def test_an_association_lives_from_create_to_delete(ssm: Any, name: str) -> None:
    targets = [{"Key": "InstanceIds", "Values": ["i-0123456789abcdef0"]}]
    created = ssm.create_association(
        Name="AWS-RunShellScript", AssociationName=name, Targets=targets, Tags=[{"Key": "a", "Value": "b"}]
    )["AssociationDescription"]
    association = created["AssociationId"]
    assert created["Targets"] == targets
    assert created["Overview"]["Status"] == "Success"
    executions = ssm.describe_association_executions(AssociationId=association)["AssociationExecutions"]
    assert [each["Status"] for each in executions] == ["Success"]
    tags = ssm.list_tags_for_resource(ResourceType="Association", ResourceId=association)["TagList"]
    assert tags == [{"Key": "a", "Value": "b"}]

    updated = ssm.update_association(AssociationId=association, MaxErrors="1")["AssociationDescription"]
    assert (updated["AssociationVersion"], updated["MaxErrors"]) == ("2", "1")
    assert association in [each["AssociationId"] for each in ssm.list_associations()["Associations"]]

    ssm.delete_association(AssociationId=association)
    with pytest.raises(ssm.exceptions.AssociationDoesNotExist):
        ssm.describe_association(AssociationId=association)


def test_an_instance_without_a_role_is_not_managed(ec2: Any, ssm: Any, emulator: Emulator) -> None:
    started = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    Agent(emulator, started).register()
    assert started not in managed(ssm)
    ec2.terminate_instances(InstanceIds=[started])


def test_an_agent_whose_role_does_not_let_it_takes_no_commands(
    iam: Any, ssm: Any, emulator: Emulator, instance: str, name: str
) -> None:
    iam.detach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{AGENT_POLICY}")
    agent = Agent(emulator, instance)
    agent.register()
    assert instance not in managed(ssm)
    refused = agent.ask("poll", {})
    assert refused.status_code == 403
    assert refused.json()["problem"] == (
        f"The role {name} does not allow ssm:UpdateInstanceInformation, which the agent needs."
    )


@pytest.fixture
def agent(emulator: Emulator, instance: str) -> Agent:
    """The agent of the instance, which has asked for commands once."""
    agent = Agent(emulator, instance)
    agent.register()
    return agent


def test_managed_instances_are_found_by_their_ids(ssm: Any, instance: str, agent: Agent) -> None:
    for filters in (
        {"Filters": [{"Key": "InstanceIds", "Values": [instance]}]},
        {"InstanceInformationFilterList": [{"key": "InstanceIds", "valueSet": [instance]}]},
    ):
        found = ssm.describe_instance_information(**filters)["InstanceInformationList"]
        assert [(each["InstanceId"], each["PingStatus"]) for each in found] == [(instance, "Online")]
    other = {"Filters": [{"Key": "InstanceIds", "Values": ["i-0123456789abcdef0"]}]}
    assert ssm.describe_instance_information(**other)["InstanceInformationList"] == []


def content(command: str) -> str:
    """Return the content of a document that runs a command."""
    step = {"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": [command]}}
    return json.dumps({"schemaVersion": "2.2", "mainSteps": [step]})


def test_a_document_goes_back_to_what_it_was_by_a_new_version(ssm: Any, name: str) -> None:
    ssm.create_document(Name=name, Content=content("one"), DocumentType="Command")
    for number, command in ((2, "two"), (3, "one")):
        updated = ssm.update_document(Name=name, Content=content(command), DocumentVersion="$LATEST")
        assert updated["DocumentDescription"]["DocumentVersion"] == str(number)
        ssm.update_document_default_version(Name=name, DocumentVersion=str(number))
    kept = [ssm.get_document(Name=name, DocumentVersion=version)["Content"] for version in ("1", "2", "3")]
    assert kept == [content("one"), content("two"), content("one")]
    assert ssm.describe_document(Name=name)["Document"]["DefaultVersion"] == "3"


def test_a_document_is_not_updated_to_what_it_is(ssm: Any, name: str) -> None:
    ssm.create_document(Name=name, Content=content("one"), DocumentType="Command")
    with pytest.raises(ClientError) as caught:
        ssm.update_document(Name=name, Content=content("one"), DocumentVersion="$LATEST")
    assert refusal(caught)[0] == "DuplicateDocumentContent"


def test_an_instance_that_has_stopped_has_lost_its_connection(ec2: Any, ssm: Any, instance: str, agent: Agent) -> None:
    assert instance in managed(ssm)
    ec2.stop_instances(InstanceIds=[instance])
    wanted = [{"Key": "InstanceIds", "Values": [instance]}]
    (found,) = ssm.describe_instance_information(Filters=wanted)["InstanceInformationList"]
    assert found["PingStatus"] == "ConnectionLost"


def test_an_instance_whose_agent_never_asked_is_not_managed_and_takes_no_command(ssm: Any, instance: str) -> None:
    assert instance not in managed(ssm)
    with pytest.raises(ClientError) as caught:
        run(ssm, instance, "true")
    assert refusal(caught) == (
        "InvalidInstanceId",
        f"Instances [[{instance}]] not in a valid state for account 123456789012",
    )


def run(ssm: Any, instance: str, command: str) -> str:
    """Send a command of the shell. Return its id."""
    sent = ssm.send_command(
        InstanceIds=[instance], DocumentName="AWS-RunShellScript", Parameters={"commands": [command]}
    )
    return str(sent["Command"]["CommandId"])


def test_a_command_is_pending_until_its_agent_begins_it(ssm: Any, instance: str, agent: Agent) -> None:
    command = run(ssm, instance, "echo hello")
    (taken,) = agent.post("poll", {})["commands"]
    assert (taken["commandId"], taken["script"]) == (command, ["echo hello"])
    # The answer may have gone to an agent that was killed: the next one is asked again.
    assert [each["commandId"] for each in agent.post("poll", {})["commands"]] == [command]
    assert ssm.get_command_invocation(CommandId=command, InstanceId=instance)["Status"] == "Pending"
    assert agent.post("begin", {"commandId": command}) == {"run": True}
    assert ssm.get_command_invocation(CommandId=command, InstanceId=instance)["Status"] == "InProgress"
    agent.post("report", {"commandId": command, "state": "Success", "code": 0, "stdout": "hello\n", "stderr": ""})
    found = ssm.get_command_invocation(CommandId=command, InstanceId=instance)
    assert (found["Status"], found["ResponseCode"], found["StandardOutputContent"]) == ("Success", 0, "hello\n")
    (listed,) = ssm.list_command_invocations(CommandId=command, Details=True)["CommandInvocations"]
    assert (listed["Status"], listed["CommandPlugins"][0]["Output"]) == ("Success", "hello\n")


def test_a_command_that_was_cancelled_before_it_began_does_not_begin(ssm: Any, instance: str, agent: Agent) -> None:
    command = run(ssm, instance, "true")
    ssm.cancel_command(CommandId=command)
    assert agent.post("begin", {"commandId": command}) == {"run": False}
    assert ssm.get_command_invocation(CommandId=command, InstanceId=instance)["Status"] == "Cancelled"


def test_a_running_command_is_cancelled_by_its_agent(ssm: Any, instance: str, agent: Agent) -> None:
    command = run(ssm, instance, "sleep 60")
    agent.post("begin", {"commandId": command})
    ssm.cancel_command(CommandId=command)
    assert agent.post("poll", {})["cancel"] == [command]


def test_a_document_of_more_than_64_kb_is_refused(ssm: Any, name: str) -> None:
    with pytest.raises(ClientError) as caught:
        ssm.create_document(Name=name, DocumentType="Command", Content=json.dumps({"x": "y" * 65_536}))
    assert refusal(caught)[0] == "MaxDocumentSizeExceeded"
