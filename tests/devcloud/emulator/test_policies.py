"""IAM's judge: what a policy allows, what a denial takes back, and what it refuses to judge."""

import json
from typing import Any

import pytest

from devcloud.emulator.policies import Call, Judgement, NotJudgedError, Principal, Trust, Verdict, judge, trusts

RELEASE = "arn:aws:ssm:us-east-1:123456789012:parameter/slipway/local/release"
ROLE = "arn:aws:iam::123456789012:role/slipway-local-host"
SESSION = Principal(
    "AWS",
    (ROLE, "arn:aws:sts::123456789012:assumed-role/slipway-local-host/i-1"),
    ("arn:aws:iam::123456789012:root", "123456789012"),
)
ECS = Principal("Service", ("ecs-tasks.amazonaws.com",))
SOURCE = {"aws:sourceaccount": "123456789012", "aws:sourcearn": "arn:aws:ecs:us-east-1:123456789012:task/c/1"}


def document(*statements: dict[str, Any]) -> str:
    """Return a policy."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    """Return a statement."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(principal: Any, **more: Any) -> str:
    """Return a trust policy."""
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more})


def verdict(call: Call, *statements: dict[str, Any]) -> Verdict:
    return judge([document(*statements)], call).verdict


READ = Call("ssm:GetParameter", (RELEASE,))
ASSUME = Call("sts:AssumeRole", (ROLE,), {"aws:sourceaccount": None, "aws:sourcearn": None})


@pytest.mark.parametrize(
    "action", ["ssm:GetParameter", "SSM:getparameter", "ssm:Get*", "ssm:GetParamete?", "*", ["ecr:X", "ssm:*"]]
)
def test_an_action_matches_by_name_and_wildcards_whatever_its_case(action: str | list[str]) -> None:
    assert verdict(READ, allow(action)) is Verdict.ALLOWED


@pytest.mark.parametrize("action", ["ssm:GetParameters", "ssm:Get", "ssm:GetParameter?", "ecr:*", "ssm:Get[P]arameter"])
def test_another_action_is_in_no_statement(action: str) -> None:
    assert verdict(READ, allow(action)) is Verdict.UNMENTIONED


@pytest.mark.parametrize(
    "resource",
    [
        RELEASE,
        "arn:aws:ssm:us-east-1:123456789012:parameter/slipway/local/*",
        "arn:aws:ssm:*:*:parameter/slipway/*",
        "arn:aws:ssm:us-east-?:123456789012:parameter/slipway/local/release",
        "*",
        ["arn:aws:sqs:us-east-1:123456789012:x", RELEASE],
    ],
)
def test_a_resource_matches_by_arn_and_wildcards(resource: str | list[str]) -> None:
    assert verdict(READ, allow("ssm:GetParameter", resource)) is Verdict.ALLOWED


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:ssm:us-east-1:123456789012:parameter/slipway/dev/*",
        "arn:aws:ssm:us-east-1:123456789012:parameter/slipway/local",
        "arn:aws:ssm:us-east-1:123456789012:parameter/SLIPWAY/local/release",
        # A wildcard in one part does not reach into the next.
        "arn:aws:ssm:*:parameter/slipway/local/release",
        "arn:*",
    ],
)
def test_another_resource_does_not_match(resource: str) -> None:
    assert judge([document(allow("ssm:GetParameter", resource))], READ) == Judgement(Verdict.UNMENTIONED, RELEASE)


def test_a_wildcard_in_the_resource_crosses_colons() -> None:
    stream = "arn:aws:logs:us-east-1:123456789012:log-group:/a:log-stream:b"
    group = "arn:aws:logs:us-east-1:123456789012:log-group:/a:*"
    assert verdict(Call("logs:PutLogEvents", (stream,)), allow("logs:PutLogEvents", group)) is Verdict.ALLOWED


def test_each_resource_must_be_allowed_and_the_first_that_is_not_is_named() -> None:
    other = RELEASE.replace("release", "database-url")
    call = Call("ssm:GetParameters", (RELEASE, other))
    assert judge([document(allow("ssm:*", RELEASE))], call) == Judgement(Verdict.UNMENTIONED, other)
    assert judge([document(allow("ssm:*", RELEASE)), document(allow("ssm:*", other))], call).verdict is Verdict.ALLOWED


def test_a_denial_in_any_policy_outweighs_every_permission() -> None:
    denial = {"Effect": "Deny", "Action": "ssm:*", "Resource": RELEASE}
    assert judge([document(allow("*")), document(denial)], READ) == Judgement(Verdict.DENIED, RELEASE)
    assert judge([document(denial, allow("*"))], READ).verdict is Verdict.DENIED


def test_no_policy_allows_nothing() -> None:
    assert judge([], READ) == Judgement(Verdict.UNMENTIONED, RELEASE)


def test_one_statement_need_not_be_a_list() -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": allow("ssm:GetParameter")})
    assert judge([policy], READ).verdict is Verdict.ALLOWED


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "holds"),
    [
        ("StringEquals", "slipway-local", "slipway-local", True),
        ("StringEquals", ["other", "slipway-local"], "slipway-local", True),
        ("StringEquals", "slipway-*", "slipway-local", False),
        ("StringEquals", "Slipway-local", "slipway-local", False),
        ("StringLike", "slipway-*", "slipway-local", True),
        ("StringLike", "slipway-?", "slipway-local", False),
        ("ArnLike", "arn:aws:ecs:*:123456789012:*", SOURCE["aws:sourcearn"], True),
        ("ArnEquals", "arn:aws:ecs:us-east-1:123456789012:task/*", SOURCE["aws:sourcearn"], True),
        ("ArnLike", "arn:aws:ecs:us-east-1:210987654321:*", SOURCE["aws:sourcearn"], False),
    ],
)
def test_a_condition_holds_if_one_of_its_values_fits(
    operator: str, wanted: str | list[str], value: str, holds: bool
) -> None:
    call = Call("cloudwatch:PutMetricData", ("*",), {"cloudwatch:namespace": value})
    found = verdict(call, allow("cloudwatch:PutMetricData", Condition={operator: {"CloudWatch:Namespace": wanted}}))
    assert (found is Verdict.ALLOWED) == holds


def test_all_conditions_must_hold() -> None:
    conditions = {"StringEquals": {"aws:SourceAccount": "123456789012"}, "ArnLike": {"aws:SourceArn": "arn:aws:dlm:*"}}
    assert verdict(Call("a:B", ("*",), SOURCE), allow("a:B", Condition=conditions)) is Verdict.UNMENTIONED


def test_a_key_that_aws_does_not_set_for_the_call_fulfils_no_condition() -> None:
    condition = {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert verdict(ASSUME, allow("sts:AssumeRole", Condition=condition)) is Verdict.UNMENTIONED


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}, "the element NotAction"),
        ({"Effect": "Deny", "Action": "*", "NotResource": "*"}, "the element NotResource"),
        (allow("ssm:*", Condition={"Bool": {"aws:SecureTransport": "true"}}), "the condition operator Bool"),
        (allow("ssm:*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o"}}), "the condition key aws:PrincipalOrg"),
        (allow("ssm:*", "arn:aws:ssm:*:*:parameter/${aws:username}"), "the policy variable"),
        ({"Effect": "Allow", "Action": "ssm:*"}, "a policy's statement without Resource"),
    ],
)
def test_what_is_not_known_is_not_judged_and_named(statement: dict[str, Any], named: str) -> None:
    with pytest.raises(NotJudgedError, match=named):
        verdict(READ, statement, allow("*"))


def test_what_does_not_concern_the_call_need_not_be_known() -> None:
    condition = {"Bool": {"aws:SecureTransport": "true"}}
    assert verdict(READ, allow("s3:*", Condition=condition), allow("ssm:*")) is Verdict.ALLOWED


def test_an_action_of_unknown_resources_is_allowed_for_every_resource_only() -> None:
    call = Call("dlm:GetLifecyclePolicies", None)
    assert verdict(call, allow("dlm:*")) is Verdict.ALLOWED
    assert judge([document(allow("ssm:*"))], call) == Judgement(Verdict.UNMENTIONED, "*")
    with pytest.raises(NotJudgedError, match="the resources of dlm:GetLifecyclePolicies"):
        verdict(call, allow("dlm:*", "arn:aws:dlm:*:*:policy/x"), allow("dlm:*"))


@pytest.mark.parametrize(
    ("principal", "said"),
    [
        ({"AWS": ROLE}, Trust.NAMED),
        ({"AWS": ["arn:aws:iam::123456789012:role/other", SESSION.names[1]]}, Trust.NAMED),
        ({"AWS": "arn:aws:iam::123456789012:root"}, Trust.BY_ACCOUNT),
        ({"AWS": "123456789012"}, Trust.BY_ACCOUNT),
        ("*", Trust.BY_ACCOUNT),
        ({"AWS": "arn:aws:iam::123456789012:role/other"}, Trust.REFUSED),
        ({"AWS": "arn:aws:iam::210987654321:root"}, Trust.REFUSED),
        ({"Service": "ec2.amazonaws.com"}, Trust.REFUSED),
    ],
)
def test_a_trust_policy_names_a_role_its_session_or_its_account(principal: Any, said: Trust) -> None:
    assert trusts(trust(principal), SESSION, ASSUME) is said


def test_a_trust_policy_names_a_service() -> None:
    assert trusts(trust({"Service": "ecs-tasks.amazonaws.com"}), ECS, ASSUME) is Trust.NAMED
    assert trusts(trust({"Service": ["ec2.amazonaws.com"]}), ECS, ASSUME) is Trust.REFUSED
    assert trusts(trust("*"), ECS, ASSUME) is Trust.REFUSED


def test_a_services_source_must_be_the_one_that_the_trust_policy_wants() -> None:
    condition = {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    policy = trust({"Service": "ecs-tasks.amazonaws.com"}, Condition=condition)
    assert trusts(policy, ECS, Call("sts:AssumeRole", (ROLE,), SOURCE)) is Trust.NAMED
    foreign = {**SOURCE, "aws:sourceaccount": "210987654321"}
    assert trusts(policy, ECS, Call("sts:AssumeRole", (ROLE,), foreign)) is Trust.REFUSED


def test_a_trust_policy_can_deny() -> None:
    denial = {"Effect": "Deny", "Principal": {"AWS": ROLE}, "Action": "sts:*"}
    permission = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}
    assert trusts(document(permission, denial), SESSION, ASSUME) is Trust.REFUSED


@pytest.mark.parametrize("element", [{"Federated": "cognito"}, {"CanonicalUser": "1"}])
def test_an_unknown_principal_is_not_judged(element: dict[str, str]) -> None:
    with pytest.raises(NotJudgedError, match="the principal"):
        trusts(trust(element), SESSION, ASSUME)
