"""A role's key, a container and a local process reach AWS's API at the emulator, and nothing of devcloud's own.

The whole application, in this process.
"""

import contextlib
import gzip
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from wsgiref.types import WSGIApplication

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from devcloud.cloud.aws import AwsClients
from devcloud.emulator import server
from devcloud.emulator.machine_api import AGENT_ACTIONS, TOKEN_HEADER
from devcloud.emulator.operator_key import OperatorKey
from devcloud.machines import reconcile
from devcloud.machines.image import agent

pytestmark = pytest.mark.services

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

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """Return a boto3 client with that key."""
        key = self.credentials
        variables = {"AWS_ACCESS_KEY_ID": key.access_key, "AWS_SECRET_ACCESS_KEY": key.secret_key}
        if key.token:
            variables["AWS_SESSION_TOKEN"] = key.token
        return AwsClients(self.url, variables).client(service, region)

    def send(
        self,
        method: str,
        path: str,
        body: str | bytes = "",
        headers: Mapping[str, str] | None = None,
        service: str = "sts",
        region: str = "us-east-1",
    ) -> httpx.Response:
        """Send a signed request of any form."""
        content = body.encode() if isinstance(body, str) else body
        request = AWSRequest(method, f"{self.url}{path}", data=content, headers=dict(headers or {}))
        SigV4Auth(self.credentials, service, region).add_auth(request)
        signed = dict(request.headers.items())
        return httpx.request(method, f"{self.url}{path}", content=content, headers=signed, trust_env=False)

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


@contextlib.contextmanager
def serving(application: WSGIApplication) -> Iterator[str]:
    """Serve an application on a port of its own. Yield its address."""
    listener = server.listener("127.0.0.1", 0, application)
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{listener.port}"
    listener.shutdown()
    thread.join()


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    """Serve the application until the module's tests are done."""
    operator = OperatorKey.new()
    with serving(server.application(operator)) as url:
        yield Edge(url, operator)


@pytest.fixture(scope="module")
def metadata() -> Iterator[str]:
    """Serve the metadata service. Return its address."""
    with serving(server.metadata()) as url:
        yield url


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


def test_the_operators_key_asks_for_the_registry(edge: Edge) -> None:
    body = json.dumps({"token": "t&t", "operation": "", "repository": "", "region": "us-east-1"})
    answer = edge.send("POST", "/_registry/allows", body, {"Content-Type": "application/json"}, "ecr")
    assert answer.json() == {"known": False, "problem": None}


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
    edge.client("ssm", "eu-west-1").put_parameter(Name="/place", Type="String", Value="elsewhere", Overwrite=True)
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


def test_a_compressed_body_is_for_the_operator_alone(edge: Edge) -> None:
    edge.client("ssm").put_parameter(Name="/packed", Type="String", Value="x", Overwrite=True)
    # Some of these have the byte of `&`, which must stay.
    for number in range(300):
        packed = gzip.compress(json.dumps({"Name": "/packed", "unknown": str(number)}).encode())
        if b"&" in packed:
            break
    headers = {**PARAMETER, "Content-Encoding": "gzip"}
    assert edge.send("POST", "/", packed, headers, "ssm").json()["Parameter"]["Value"] == "x"
    role = edge.as_role({"Effect": "Allow", "Action": "*", "Resource": "*"})
    assert role.send("POST", "/", packed, headers, "ssm").status_code == 400


@pytest.mark.parametrize("encoding", ["identity", "x", "GZIP", "gzip, identity"])
def test_no_encoding_makes_moto_run_another_call_than_the_one_that_was_judged(edge: Edge, encoding: str) -> None:
    name = f"/smuggled/{uuid.uuid4().hex}"
    edge.client("ssm").put_parameter(Name=name, Type="String", Value="x")
    role = edge.as_role({"Effect": "Allow", "Action": "ssm:GetParameterHistory", "Resource": "*"})
    body = json.dumps({"Name": name, "Value": "y", "Overwrite": True, "z": "&Action=PutParameter&"})
    target = {**JSON, "X-Amz-Target": "AmazonSSM.GetParameterHistory", "Content-Encoding": encoding}
    role.send("POST", "/", body, target, "ssm")
    assert edge.client("ssm").get_parameter(Name=name)["Parameter"]["Value"] == "x"


def test_a_protocol_that_is_not_judged_is_refused(edge: Edge) -> None:
    with pytest.raises(ClientError, match="is not authorized to perform: GET /"):
        edge.as_role({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}).client("s3").list_buckets()


class Host:
    """An instance of a role, at an address of this machine's loopback."""

    def __init__(self, edge: Edge, address: str) -> None:
        self.edge = edge
        self.address = address
        iam, name = edge.client("iam"), f"h-{uuid.uuid4().hex[:10]}"
        trusted = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trusted))
        rights = {"Effect": "Allow", "Action": list(AGENT_ACTIONS), "Resource": "*"}
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(rights))
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        started = edge.client("ec2").run_instances(
            ImageId="ami-12c6146b", MinCount=1, MaxCount=1, IamInstanceProfile={"Name": name}
        )
        self.id = str(started["Instances"][0]["InstanceId"])
        edge.send("POST", f"/_devcloud/instances/{self.id}", json.dumps({"address": address})).raise_for_status()

    @property
    def token(self) -> str:
        """The secret that the data plane is given for it."""
        listed = self.edge.send("GET", "/_devcloud/instances").json()["instances"]
        return str(next(each["token"] for each in listed if each["id"] == self.id))

    def ask(self, method: str, url: str, headers: Mapping[str, str] | None = None, body: Any = None) -> httpx.Response:
        """Send a request from the instance's address."""
        with httpx.Client(transport=httpx.HTTPTransport(local_address=self.address), timeout=5) as client:
            return client.request(method, url, headers=dict(headers or {}), json=body)


@pytest.fixture
def host(edge: Edge) -> Iterator[Host]:
    """Start an instance, and terminate it."""
    host = Host(edge, "127.0.0.9")
    yield host
    edge.client("ec2").terminate_instances(InstanceIds=[host.id])


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "instances"), ("GET", "volumes"), ("POST", "instances/{id}"), ("GET", "nothing")]
)
def test_only_the_operators_key_plays_the_data_plane(edge: Edge, host: Host, method: str, path: str) -> None:
    url = f"{edge.url}/_devcloud/{path.format(id=host.id)}"
    answer = httpx.request(method, url, json={"address": "127.0.0.1"}, trust_env=False)
    assert answer.status_code == 403
    assert "MissingAuthenticationToken" in answer.text
    stranger = Edge(edge.url, OperatorKey.new())
    assert stranger.send(method, f"/_devcloud/{path.format(id=host.id)}", "{}").status_code == 403
    assert host.ask("PUT", url, body={}).status_code == 403


def test_commands_are_given_to_the_agent_that_has_its_instances_token(edge: Edge, host: Host) -> None:
    url, body = f"{edge.url}/_devcloud/agent/begin", {"commandId": str(uuid.uuid4())}
    others = Host(edge, "127.0.0.10")
    for headers in ({}, {TOKEN_HEADER: ""}, {TOKEN_HEADER: "guessed"}, {TOKEN_HEADER: others.token}):
        refused = host.ask("POST", url, headers, body)
        assert (refused.status_code, refused.json()["problem"]) == (
            403,
            "127.0.0.9 is the address of no instance with this token.",
        )
    # The token is good at its instance's address alone.
    assert others.ask("POST", url, {TOKEN_HEADER: host.token}, body).status_code == 403
    assert host.ask("POST", url, {TOKEN_HEADER: host.token}, body).json() == {"run": False}


def test_a_header_does_not_lead_to_the_metadata_service(edge: Edge, host: Host) -> None:
    for name in ("169.254.169.254", "169.254.169.254:80"):
        headers = {"Host": name, "X-aws-ec2-metadata-token-ttl-seconds": "60"}
        answer = host.ask("PUT", f"{edge.url}/latest/api/token", headers)
        assert answer.status_code == 403
        assert "MissingAuthenticationToken" in answer.text


def test_the_metadata_service_gives_an_instance_its_role_at_an_address_of_its_own(
    edge: Edge, host: Host, metadata: str
) -> None:
    own = {"Host": "169.254.169.254"}
    ttl = {**own, "X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = {**own, "X-aws-ec2-metadata-token": host.ask("PUT", f"{metadata}/latest/api/token", ttl).text}
    folder = f"{metadata}/latest/meta-data/iam/security-credentials/"
    role = host.ask("GET", folder, token).text
    found = host.ask("GET", folder + role, token).json()
    key = {"AccessKeyId": found["AccessKeyId"], "SecretAccessKey": found["SecretAccessKey"]}
    session = Edge(edge.url, edge.operator, {**key, "SessionToken": found["Token"]})
    assert session.client("sts").get_caller_identity()["Arn"].endswith(f"/{role}/{host.id}")
    # Another process of this machine is no instance, and devcloud's own paths are elsewhere.
    assert httpx.put(f"{metadata}/latest/api/token", headers=ttl, trust_env=False).status_code == 404
    assert Edge(metadata, edge.operator).send("GET", "/_devcloud/instances").status_code == 404
    assert host.ask("GET", f"{metadata}/_devcloud/instances", token).status_code == 404


def test_the_data_plane_and_the_agent_show_what_they_are_asked_for(edge: Edge, host: Host) -> None:
    wrong = reconcile.Emulator(edge.url, Credentials(edge.operator.access_key, "guessed"))
    with pytest.raises(OSError, match="the emulator answered 403"):
        wrong.instances()
    plane = reconcile.Emulator(edge.url, edge.credentials)
    wanted = plane.instances()[host.id]
    plane.report(host.id, address="127.0.0.1", console="Welcome & hello \x1b[0m")
    assert all(each.startswith("vol-") for each in plane.volumes())
    assert wanted.token == host.token
    begin = {"commandId": str(uuid.uuid4())}
    assert agent.Api(edge.url, wanted.token).post("begin", begin) == {"run": False}
    with pytest.raises(OSError, match="of no instance with this token"):
        agent.Api(edge.url, "guessed").post("begin", begin)
