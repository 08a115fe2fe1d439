"""What a role's key, a container and a local process can ask of the emulator: AWS's API, and nothing of devcloud's own.

The whole application, in this process.
"""

import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from devcloud.emulator import server
from devcloud.emulator.operator_key import OperatorKey

ACCOUNT = "123456789012"
JSON = {"Content-Type": "application/x-amz-json-1.1"}
WHO_AM_I = {**JSON, "X-Amz-Target": "AWSSecurityTokenServiceV20110615.GetCallerIdentity"}
"""A call that every role may make, as a JSON protocol has it."""
PARAMETER = {**JSON, "X-Amz-Target": "AmazonSSM.GetParameter"}


def policy(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@dataclass(frozen=True)
class Edge:
    """An emulator of this process, and its operator's key."""

    url: str
    operator: OperatorKey
    key: Mapping[str, str] = field(default_factory=dict)
    """A role's credentials, or none for the operator."""

    @property
    def credentials(self) -> Credentials:
        """The key that requests are signed with."""
        if not self.key:
            return Credentials(self.operator.access_key, self.operator.secret_key)
        return Credentials(self.key["AccessKeyId"], self.key["SecretAccessKey"], self.key["SessionToken"])

    def client(self, service: str) -> Any:
        """Return a boto3 client with that key."""
        key = self.credentials
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret_key,
            aws_session_token=key.token,
            config=Config(proxies={}, retries={"max_attempts": 0}),
        )

    def send(
        self,
        method: str,
        path: str,
        body: str = "",
        headers: Mapping[str, str] | None = None,
        service: str = "sts",
        region: str = "us-east-1",
    ) -> httpx.Response:
        """Send a signed request of any form."""
        request = AWSRequest(method, f"{self.url}{path}", data=body.encode(), headers=dict(headers or {}))
        SigV4Auth(self.credentials, service, region).add_auth(request)
        signed = dict(request.headers.items())
        return httpx.request(method, f"{self.url}{path}", content=body.encode(), headers=signed, trust_env=False)

    def as_role(self, *statements: Mapping[str, Any]) -> "Edge":
        """Return the edge as a session of a new role sees it."""
        iam, name = self.client("iam"), f"r-{uuid.uuid4().hex[:10]}"
        trusted = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trusted))
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*statements))
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        given = self.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
        return Edge(self.url, self.operator, given)


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    """Serve the application until the module's tests are done."""
    operator = OperatorKey.new()
    listener = server.listener("127.0.0.1", 0, server.application(operator))
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    yield Edge(f"http://127.0.0.1:{listener.port}", operator)
    listener.shutdown()
    thread.join()


@pytest.fixture
def other(edge: Edge) -> str:
    """Make a role that trusts tasks alone. Return its ARN."""
    trusted = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    name = f"r-{uuid.uuid4().hex[:10]}"
    made = edge.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=policy(trusted))
    return str(made["Role"]["Arn"])


@pytest.mark.parametrize("path", ["/_tasks/credentials", "/%5Ftasks/credentials", "//_tasks/credentials"])
@pytest.mark.parametrize("service", ["sts", "ecs-tasks"])
def test_a_role_gets_no_credentials_of_a_task(edge: Edge, other: str, path: str, service: str) -> None:
    body = json.dumps({"role": other, "task": f"arn:aws:ecs:us-east-1:{ACCOUNT}:task/x"})
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    for role in (edge.as_role(), edge.as_role(everything)):
        answer = role.send("POST", path, body, WHO_AM_I, service)
        assert "AWS_SECRET_ACCESS_KEY" not in answer.text
        assert answer.status_code in (400, 403)
    given = edge.send("POST", "/_tasks/credentials", body, service="ecs-tasks")
    assert given.json()["AWS_SECRET_ACCESS_KEY"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/moto-api/reset"),
        ("GET", "/moto-api/data.json"),
        ("POST", "/moto-api/seed?a=1"),
        ("POST", "/_registry/allows"),
        ("GET", "/_devcloud/instances"),
        ("POST", "/_devcloud/instances/i-1"),
        ("GET", "/"),
        ("PUT", "/"),
        ("POST", f"/{ACCOUNT}/queue"),
        ("GET", "/latest/meta-data/"),
    ],
)
def test_a_role_asks_for_nothing_but_calls_of_aws(edge: Edge, method: str, path: str) -> None:
    role = edge.as_role({"Effect": "Allow", "Action": "*", "Resource": "*"})
    edge.client("ssm").put_parameter(Name="/kept", Type="String", Value="x", Overwrite=True)
    answer = role.send(method, path, "{}", WHO_AM_I)
    assert answer.status_code in (400, 403)
    assert f"is not authorized to perform: {method} {path.partition('?')[0]}" in answer.json()["message"]
    assert edge.client("ssm").get_parameter(Name="/kept")["Parameter"]["Value"] == "x"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, '{{"x": "&Action=AssumeRole&RoleArn={arn}&RoleSessionName=me&"}}'),
        ({}, '"&Action=AssumeRole&RoleArn={arn}&RoleSessionName=me&"'),
        ({"Action": "AssumeRole", "RoleArn": "{arn}", "RoleSessionName": "me"}, ""),
        (
            {"Content-Type": "Application/X-WWW-Form-Urlencoded"},
            '"&Action=AssumeRole&RoleArn={arn}&RoleSessionName=me&"',
        ),
    ],
)
def test_a_call_is_not_read_in_another_way_than_it_was_judged(
    edge: Edge, other: str, headers: Mapping[str, str], body: str
) -> None:
    sent = {**WHO_AM_I, **{name: value.format(arn=other) for name, value in headers.items()}}
    assert "SecretAccessKey" not in edge.as_role().send("POST", "/", body.format(arn=other), sent).text


def test_a_parameter_is_the_one_that_was_judged(edge: Edge) -> None:
    ssm = edge.client("ssm")
    for name in ("mine", "others"):
        ssm.put_parameter(Name=f"/judged/{name}", Type="String", Value=f"value of {name}", Overwrite=True)
    mine = f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/judged/mine"
    role = edge.as_role({"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": mine})
    answer = role.send("POST", "/", '{"Name": "/judged/mine", "x": "&Name=/judged/others&"}', PARAMETER, "ssm")
    assert "value of others" not in answer.text
    role.send("POST", "/", '{"Name": "/judged/mine", "x": "&Action=DeleteParameter&"}', PARAMETER, "ssm")
    assert role.client("ssm").get_parameter(Name="/judged/mine")["Parameter"]["Value"] == "value of mine"


def test_the_region_is_the_one_that_was_judged(edge: Edge) -> None:
    elsewhere = boto3.client(
        "ssm",
        endpoint_url=edge.url,
        region_name="eu-west-1",
        aws_access_key_id=edge.operator.access_key,
        aws_secret_access_key=edge.operator.secret_key,
        config=Config(proxies={}),
    )
    elsewhere.put_parameter(Name="/place", Type="String", Value="elsewhere", Overwrite=True)
    edge.client("ssm").put_parameter(Name="/place", Type="String", Value="here", Overwrite=True)
    here = f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/place"
    role = edge.as_role({"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": here})
    headers = {**PARAMETER, "User-Agent": "x region/eu-west-1"}
    answer = role.send("POST", "/", '{"Name": "/place"}', headers, "ssm")
    assert answer.json()["Parameter"]["Value"] == "here"
    # moto would take the first for S3's: it finds a service by its name of a host, sts.s3.amazonaws.com.
    for region in ("s3", "us-s3-1", "eu-west-1.s3"):
        answer = role.send("POST", "/", "{}", WHO_AM_I, region=region)
        assert "Credential should be scoped to a valid region" in answer.json()["message"]


def test_a_text_with_ampersands_arrives_as_it_was(edge: Edge) -> None:
    text = 'a&b=c&Action=DeleteParameter&Name=/kept \\ "&" \\\\&'
    ssm = edge.client("ssm")
    ssm.put_parameter(Name="/text", Type="String", Value=text, Overwrite=True)
    assert ssm.get_parameter(Name="/text")["Parameter"]["Value"] == text


def test_a_protocol_that_is_not_judged_is_refused(edge: Edge) -> None:
    with pytest.raises(ClientError, match="is not authorized to perform: GET /"):
        edge.as_role({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}).client("s3").list_buckets()
