"""The emulator's edge: whose key a request has, how it is signed, and whether the role's policies allow it."""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from devcloud.cloud.aws import AwsClients
from devcloud.cloud.cloud import Cloud, Ports
from devcloud.cloud.task_roles import credentials
from devcloud.emulator.operator_key import OperatorKey
from devcloud.util.console import UserError

from .conftest import Emulator
from .images import EVERY_MANIFEST, Image, Pusher
from .refusals import refusal

pytestmark = pytest.mark.cloud

ACCOUNT = "123456789012"
INVALID = "The security token included in the request is invalid."
Statement = dict[str, Any]
Roles = Callable[..., "Role"]


class Role:
    """A role of a test, and clients of a session of it."""

    def __init__(self, emulator: Emulator, name: str) -> None:
        self.emulator = emulator
        self.name = name
        self.arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        self.session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/me"

    def assume(self, sts: Any, **more: Any) -> Mapping[str, str]:
        found: Mapping[str, str] = sts.assume_role(RoleArn=self.arn, RoleSessionName="me", **more)["Credentials"]
        return found

    def client(self, service: str) -> Any:
        return self.emulator.client(service, role=self.assume(self.emulator.client("sts")))


def policy(*statements: Statement) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str, resource: str | list[str] = "*", **more: Any) -> Statement:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(principal: Any, **more: Any) -> str:
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more})


@pytest.fixture
def make(emulator: Emulator, iam: Any, name: str) -> Iterator[Roles]:
    """Return a function that makes a role of some statements; by default everybody in the account may assume it."""
    made: list[str] = []

    def role(*statements: Statement, trusted: str = trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"})) -> Role:
        found = Role(emulator, f"{name}-{len(made)}")
        iam.create_role(RoleName=found.name, AssumeRolePolicyDocument=trusted)
        made.append(found.name)
        if statements:
            iam.put_role_policy(RoleName=found.name, PolicyName="p", PolicyDocument=policy(*statements))
        return found

    yield role
    for each in made:
        for document in iam.list_role_policies(RoleName=each)["PolicyNames"]:
            iam.delete_role_policy(RoleName=each, PolicyName=document)
        iam.delete_role(RoleName=each)


@pytest.mark.parametrize(
    ("service", "operation", "code", "message"),
    [
        ("ssm", "describe_parameters", "UnrecognizedClientException", INVALID),
        ("sts", "get_caller_identity", "InvalidClientTokenId", INVALID),
        ("sqs", "list_queues", "InvalidClientTokenId", INVALID),
        ("ec2", "describe_vpcs", "AuthFailure", "AWS was not able to validate the provided access credentials"),
    ],
)
def test_a_key_that_nobody_made_is_refused(
    emulator: Emulator, service: str, operation: str, code: str, message: str
) -> None:
    stranger = OperatorKey.new()
    key = {"AccessKeyId": stranger.access_key, "SecretAccessKey": stranger.secret_key}
    with pytest.raises(ClientError) as caught:
        getattr(emulator.client(service, role=key), operation)()
    assert refusal(caught) == (code, message)


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("ssm", "describe_parameters", "InvalidSignatureException"),
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
        ("ec2", "describe_vpcs", "AuthFailure"),
    ],
)
def test_the_operators_key_without_its_secret_is_refused(
    emulator: Emulator, service: str, operation: str, code: str
) -> None:
    key = {"AccessKeyId": emulator.operator.access_key, "SecretAccessKey": "guessed"}
    with pytest.raises(ClientError) as caught:
        getattr(emulator.client(service, role=key), operation)()
    assert refusal(caught)[0] == code


def test_a_request_that_was_changed_on_its_way_is_refused(emulator: Emulator) -> None:
    ssm = emulator.client("ssm")

    def change(request: Any, **_: Any) -> None:
        request.body = request.body.replace(b"/one", b"/two")

    ssm.meta.events.register("before-send.ssm.GetParameter", change)
    with pytest.raises(ClientError, match="The request signature we calculated does not match"):
        ssm.get_parameter(Name="/one")


@pytest.mark.parametrize(("minutes", "message"), [(-6, "Signature expired: "), (6, "Signature not yet current: ")])
def test_a_clock_that_is_wrong_is_refused(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, minutes: int, message: str
) -> None:
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: moment)
    with pytest.raises(ClientError, match=message) as caught:
        emulator.client("ssm").describe_parameters()
    assert refusal(caught)[0] == "InvalidSignatureException"


@pytest.mark.parametrize("path", ["/", "/moto-api/reset", "/_tasks/credentials"])
def test_a_request_without_a_signature_is_refused(emulator: Emulator, path: str) -> None:
    answer = httpx.post(f"{emulator.aws}{path}", trust_env=False)
    assert answer.status_code == 403
    assert "<Code>MissingAuthenticationToken</Code>" in answer.text


def test_a_role_does_what_its_policy_allows_and_nothing_else(
    emulator: Emulator, ssm: Any, make: Roles, name: str
) -> None:
    for each in ("mine", "others"):
        ssm.put_parameter(Name=f"/{name}/{each}", Type="String", Value=each)
    arns = {each: f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/{name}/{each}" for each in ("mine", "others")}
    role = make(allow("ssm:GetParameter", arns["mine"]))
    own = role.client("ssm")
    assert own.get_parameter(Name=f"/{name}/mine:1")["Parameter"]["Value"] == "mine"
    with pytest.raises(ClientError) as caught:
        own.get_parameter(Name=f"/{name}/others")
    assert refusal(caught) == (
        "AccessDeniedException",
        f"User: {role.session} is not authorized to perform: ssm:GetParameter on resource: {arns['others']} "
        "because no identity-based policy allows the ssm:GetParameter action",
    )
    with pytest.raises(ClientError, match="allows the ssm:GetParameters action"):
        own.get_parameters(Names=[f"/{name}/mine"])
    assert f"denied: User: {role.session} is not" in emulator.aws_log.read_text()


def test_a_denial_is_told_as_one(make: Roles) -> None:
    role = make(allow("*"), {"Effect": "Deny", "Action": "ssm:*", "Resource": "*"})
    with pytest.raises(ClientError, match="with an explicit deny in an identity-based policy") as caught:
        role.client("ssm").get_parameter(Name="/x")
    assert refusal(caught)[0] == "AccessDeniedException"


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "code", "action"),
    [
        ("iam", "list_users", {}, "AccessDenied", "iam:ListUsers"),
        ("ec2", "describe_instances", {}, "UnauthorizedOperation", "ec2:DescribeInstances"),
        ("sqs", "list_queues", {}, "AccessDenied", "sqs:ListQueues"),
        ("ecs", "list_clusters", {}, "AccessDeniedException", "ecs:ListClusters"),
    ],
)
def test_each_service_denies_in_its_own_words(
    make: Roles, service: str, operation: str, parameters: dict[str, Any], code: str, action: str
) -> None:
    with pytest.raises(ClientError, match=f"is not authorized to perform: {action}") as caught:
        getattr(make(allow("sts:*")).client(service), operation)(**parameters)
    assert refusal(caught)[0] == code


def test_everybody_may_ask_who_they_are(make: Roles) -> None:
    role = make()
    assert role.client("sts").get_caller_identity()["Arn"] == role.session


def test_what_cannot_be_judged_is_refused_by_name(sqs: Any, make: Roles, name: str) -> None:
    condition = {"Bool": {"aws:SecureTransport": "true"}}
    with pytest.raises(ClientError, match="does not judge the condition operator Bool"):
        make(allow("ssm:*", Condition=condition)).client("ssm").describe_parameters()
    with pytest.raises(ClientError, match="does not judge the resources of ecs:ListClusters"):
        make(allow("ecs:*", "arn:aws:ecs:us-east-1:1:cluster/x")).client("ecs").list_clusters()
    url = sqs.create_queue(QueueName=name, Attributes={"Policy": policy(allow("sqs:*", Principal="*"))})["QueueUrl"]
    with pytest.raises(ClientError, match=f"does not judge the policy of arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"):
        make(allow("sqs:*")).client("sqs").send_message(QueueUrl=url, MessageBody="x")


def test_a_parameter_under_a_key_of_its_own_is_not_decrypted(ssm: Any, make: Roles, name: str) -> None:
    own = make(allow("ssm:*")).client("ssm")
    ssm.put_parameter(Name=f"/{name}/aws", Type="SecureString", Value="x")
    assert own.get_parameter(Name=f"/{name}/aws", WithDecryption=True)["Parameter"]["Value"] == "x"
    ssm.put_parameter(Name=f"/{name}/own", Type="SecureString", Value="x", KeyId="alias/own")
    with pytest.raises(ClientError, match="does not judge the key alias/own of"):
        own.get_parameter(Name=f"/{name}/own", WithDecryption=True)


def test_a_role_is_assumed_by_whom_it_trusts(emulator: Emulator, make: Roles) -> None:
    caller = make()
    with pytest.raises(ClientError, match=r"is not authorized to perform: sts:AssumeRole on resource") as caught:
        make(trusted=trust({"AWS": "arn:aws:iam::123456789012:role/other"})).assume(caller.client("sts"))
    assert refusal(caught)[0] == "AccessDenied"
    named = make(trusted=trust({"AWS": caller.arn}))
    assert named.assume(caller.client("sts"))["SessionToken"]
    # The operator is an administrator, and still nobody whom this role trusts.
    with pytest.raises(ClientError, match="user/moto is not authorized to perform: sts:AssumeRole"):
        named.assume(emulator.client("sts"))
    with pytest.raises(ClientError, match="sts:AssumeRole on resource: arn:aws:iam::123456789012:role/absent"):
        Role(emulator, "absent").assume(emulator.client("sts"))


def test_a_role_that_trusts_the_account_is_assumed_by_those_whose_policy_allows_it(make: Roles) -> None:
    target = make()
    with pytest.raises(ClientError, match="no identity-based policy allows the sts:AssumeRole action"):
        target.assume(make().client("sts"))
    assert target.assume(make(allow("sts:AssumeRole", target.arn)).client("sts"))["SessionToken"]
    with pytest.raises(ClientError, match="does not judge session policies"):
        target.assume(make(allow("sts:*", target.arn)).client("sts"), Policy=policy(allow("*")))


def test_a_session_without_its_token_is_refused(emulator: Emulator, make: Roles) -> None:
    given = make(allow("*")).assume(emulator.client("sts"))
    for wrong in ({"SessionToken": "other"}, {"SessionToken": None}):
        with pytest.raises(ClientError, match=INVALID):
            emulator.client("ssm", role={**given, **wrong}).describe_parameters()  # type: ignore[dict-item]


def test_a_session_ends(emulator: Emulator, make: Roles) -> None:
    # AWS gives no session for less than 15 minutes, and boto3 asks for none.
    sts = emulator.client("sts", config=Config(parameter_validation=False))
    given = make(allow("*")).assume(sts, DurationSeconds=1)
    own = emulator.client("ssm", role=given)
    own.describe_parameters()
    time.sleep(1.1)
    with pytest.raises(ClientError, match="The security token included in the request is expired") as caught:
        own.describe_parameters()
    assert refusal(caught)[0] == "ExpiredTokenException"


def test_a_task_gets_its_role_only_if_the_role_trusts_its_account(
    emulator: Emulator, make: Roles, tmp_path: Any
) -> None:
    cloud = Cloud("x", tmp_path)
    port = int(emulator.aws.rpartition(":")[2])
    cloud.__dict__["ports"] = Ports(aws=port, ecr=1, registry=1, databases="127.83.1.1")
    cloud.__dict__["credentials"] = dict(emulator.operator.variables())
    conditions = {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:ecs:us-east-1:{ACCOUNT}:*"},
    }
    role = make(trusted=trust({"Service": "ecs-tasks.amazonaws.com"}, Condition=conditions))
    given = credentials(cloud, role.arn, f"arn:aws:ecs:us-east-1:{ACCOUNT}:task/one")
    session = AwsClients(emulator.aws, given).client("sts")
    assert session.get_caller_identity()["Arn"].endswith(f"assumed-role/{role.name}/one")
    with pytest.raises(UserError, match="ECS was unable to assume the role"):
        credentials(cloud, role.arn, "arn:aws:ecs:us-east-1:210987654321:task/one")
    with pytest.raises(UserError, match="ECS was unable to assume the role"):
        credentials(cloud, make(trusted=trust({"Service": "ec2.amazonaws.com"})).arn, "arn:aws:ecs:r:1:task/one")


def test_the_registry_lets_a_role_pull_what_its_policy_allows_and_push_nothing(
    emulator: Emulator, make: Roles, pusher: Pusher, repository: str, mutable_repository: str
) -> None:
    for each in (repository, mutable_repository):
        pusher.push(each, "1", Image(each.encode()))
    pull = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
    arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{repository}"
    role = make(allow("ecr:GetAuthorizationToken"), *(allow(action, arn) for action in pull))
    data = role.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, token = base64.b64decode(data["authorizationToken"]).decode().partition(":")

    def ask(method: str, path: str) -> httpx.Response:
        url = f"{emulator.front}/v2/{path}"
        return httpx.request(
            method,
            url,
            auth=(user, token),
            headers={"Accept": EVERY_MANIFEST},
            content=b"{}",
            trust_env=False,
            timeout=30,
        )

    assert ask("GET", "").status_code == 200
    manifest = ask("GET", f"{repository}/manifests/1")
    assert manifest.status_code == 200
    blob = manifest.json()["layers"][0]["digest"]
    assert ask("HEAD", f"{repository}/blobs/{blob}").status_code == 200
    assert ask("GET", f"{repository}/blobs/{blob}").status_code == 200
    for method, path, action in (
        ("GET", f"{mutable_repository}/manifests/1", "ecr:BatchGetImage"),
        ("GET", f"{repository}/tags/list", "ecr:ListImages"),
        ("PUT", f"{repository}/manifests/2", "ecr:PutImage"),
        ("POST", f"{repository}/blobs/uploads/", "ecr:InitiateLayerUpload"),
    ):
        refused = ask(method, path)
        assert refused.status_code == 403, path
        (error,) = refused.json()["errors"]
        assert error["code"] == "DENIED"
        assert f"{role.session} is not authorized to perform: {action} on" in error["message"]
