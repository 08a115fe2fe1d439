"""The gate works with the rights in docs/gate-policy.json, and without any one of them it does not.

Those for a rollback's pin are the subject of tests/infra/test_gate_policy.py.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from infra.lib.canonical_json import canonical_json
from infra.releases.gate import Gate, GateError, Patience
from infra.releases.release import Release, render
from infra.releases.run_command import Host

from .conftest import ROOT, Emulator
from .test_ssm import AGENT_POLICY, Agent

pytestmark = pytest.mark.cloud

ACCOUNT, REGION, NAME = "123456789012", "us-east-1", "slipway-test-host"
TRUST = {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Effect": "Allow", "Action": "sts:AssumeRole"}
EC2 = {"Principal": {"Service": "ec2.amazonaws.com"}, "Effect": "Allow", "Action": "sts:AssumeRole"}
DOCUMENT = {
    "schemaVersion": "2.2",
    "parameters": {"Command": {"type": "String"}, "Argument": {"type": "String", "default": ""}},
    "mainSteps": [{"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": ["true"]}}],
}
DIGEST = f"sha256:{'0' * 64}"
IMAGES = {"api": f"registry/api@{DIGEST}"}
RELEASE = render(Release(host=NAME, host_version="1", program="0" * 16, services=IMAGES, secrets={}))
PIN_ACTIONS = {"ssm:GetParameters", "ssm:GetParameterHistory", "ssm:DeleteParameter"}
ACTIONS = ("ssm:SendCommand", "ssm:DescribeInstanceInformation", "ssm:GetCommandInvocation", "ec2:GetConsoleOutput")


def policy(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@dataclass(frozen=True)
class Place:
    """An instance whose agent serves every command at once, and a role that people deploy by."""

    emulator: Emulator
    instance: str

    def gate(self, without: str = "") -> Gate:
        """Return the gate of a deployer who has the documented rights but one."""
        iam, sts = self.emulator.client("iam"), self.emulator.client("sts")
        iam.put_role_policy(RoleName="deployer", PolicyName="gate", PolicyDocument=self.rights(without))
        role = sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/deployer", RoleSessionName="me")["Credentials"]
        client = self.emulator.client
        return Gate(
            host=Host(client("ssm", role=role), self.instance, NAME, sleep=lambda _: None),
            ec2=client("ec2", role=role),
            sts=client("sts", role=role),
            account_id=ACCOUNT,
            patience=Patience(agent=5, release=5),
            say=lambda _: None,
        )

    def rights(self, without: str) -> str:
        """Return the documented policy for this place, without an action."""
        text = (ROOT / "docs/gate-policy.json").read_text()
        places = {"REGION": REGION, "ACCOUNT": ACCOUNT, "DOCUMENT": NAME, "INSTANCE": self.instance}
        places |= {"PROJECT": "slipway", "STACK": "test"}
        for word, value in places.items():
            text = text.replace(f":{word}", f":{value}").replace(f"/{word}", f"/{value}")
        content = json.loads(text)
        for statement in content["Statement"]:
            actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            statement["Action"] = [action for action in actions if action != without]
        content["Statement"] = [statement for statement in content["Statement"] if statement["Action"]]
        return canonical_json(content)


@pytest.fixture(scope="module")
def place(emulator: Emulator) -> Iterator[Place]:
    """Start an instance and its agent."""
    iam, ec2, ssm = (emulator.client(service) for service in ("iam", "ec2", "ssm"))
    iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=policy(TRUST))
    iam.create_role(RoleName="host", AssumeRolePolicyDocument=policy(EC2))
    iam.attach_role_policy(RoleName="host", PolicyArn=f"arn:aws:iam::aws:policy/{AGENT_POLICY}")
    iam.create_instance_profile(InstanceProfileName="host")
    iam.add_role_to_instance_profile(InstanceProfileName="host", RoleName="host")
    ssm.create_document(Name=NAME, DocumentType="Command", Content=json.dumps(DOCUMENT))
    started = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "host"})
    instance = str(started["Instances"][0]["InstanceId"])
    agent, ended = Agent(emulator, instance), threading.Event()
    agent.register()
    thread = threading.Thread(target=serve, args=(agent, ended))
    thread.start()
    yield Place(emulator, instance)
    ended.set()
    # Its last question is open for as long as nobody sends a command.
    ssm.send_command(InstanceIds=[instance], DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]})
    thread.join()
    ec2.terminate_instances(InstanceIds=[instance])


def serve(agent: Agent, ended: threading.Event) -> None:
    """Answer every command as a host does that serves the release."""
    report = json.dumps({"state": "serving", "serves": {"api": DIGEST}, "release": None, "problem": None})
    while not ended.is_set():
        for command in agent.post("poll", {})["commands"]:
            identity = command["commandId"]
            agent.post("begin", {"commandId": identity})
            done = {"commandId": identity, "state": "Success", "code": 0, "stdout": report, "stderr": ""}
            agent.post("report", done)


def test_a_release_goes_through_the_gate_with_the_documented_rights(place: Place) -> None:
    gate = place.gate()
    gate.release(RELEASE)
    gate.verify(RELEASE)
    assert gate._console() == "  (nothing yet)"


@pytest.mark.parametrize("action", ACTIONS[:3])
def test_without_one_of_them_the_gate_says_what_is_missing(place: Place, action: str) -> None:
    with pytest.raises(GateError, match=f"is not authorized to perform: {action}"):
        place.gate(without=action).release(RELEASE)


def test_the_console_needs_its_right(place: Place) -> None:
    assert "is not authorized to perform: ec2:GetConsoleOutput" in place.gate(without=ACTIONS[3])._console()


def test_the_rights_are_for_one_document_and_one_host(place: Place) -> None:
    ssm = place.gate().host.ssm
    for instance, document in ((place.instance, "AWS-RunShellScript"), ("i-0123456789abcdef0", NAME)):
        with pytest.raises(ssm.exceptions.ClientError, match="not authorized to perform: ssm:SendCommand"):
            ssm.send_command(InstanceIds=[instance], DocumentName=document, Parameters={})


def test_no_right_is_documented_that_the_gate_does_not_use(place: Place) -> None:
    statements = json.loads(place.rights(""))["Statement"]
    assert {action for statement in statements for action in statement["Action"]} == {*ACTIONS, *PIN_ACTIONS}
