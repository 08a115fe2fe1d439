"""Read the roles that were declared: their policies, their sessions, and who may assume them."""

from collections.abc import Iterator, Mapping
from typing import Any

from moto.core.utils import utcnow
from moto.ecr.models import ecr_backends
from moto.iam.exceptions import NotFoundException
from moto.iam.models import Role, iam_backends
from moto.sqs.models import sqs_backends
from moto.ssm.models import ssm_backends
from moto.sts.models import AssumedRole, sts_backends

from devcloud.emulator import policies
from devcloud.emulator.policies import Call, NotJudgedError, Principal, Trust

PARTITION = "aws"
AWS_MANAGED_KEY = "alias/aws/ssm"
"""The key whose own policy lets everybody in the account decrypt through SSM who may read the parameter."""


def session_of(access_key: str) -> AssumedRole | None:
    """Return the session of a role that an access key belongs to."""
    for account in list(sts_backends.values()):
        for backend in list(account.values()):
            if found := backend.get_assumed_role_from_access_key(access_key):
                return found
    return None


def has_ended(session: AssumedRole) -> bool:
    return bool(session.expiration < utcnow())


def find(role_arn: str) -> Role | None:
    """Return the role of an ARN, in any account."""
    account = role_arn.split(":")[4] if role_arn.count(":") == policies.ARN_PARTS - 1 else ""
    if account not in iam_backends:
        return None
    try:
        return iam_backends[account][PARTITION].get_role_by_arn(role_arn)
    except NotFoundException:
        return None


def documents(role_arn: str) -> list[str]:
    """Return a role's policies; none of a role that was deleted. Raises NotJudgedError for a permissions boundary."""
    role = find(role_arn)
    if role is None:
        return []
    if role.permissions_boundary_arn:
        raise NotJudgedError(f"the permissions boundary of {role_arn}")
    managed = [
        version.document
        for policy in role.managed_policies.values()
        for version in policy.versions
        if version.is_default
    ]
    return [*role.policies.values(), *managed]


def principal_of(session: AssumedRole) -> Principal:
    """Return what trust policies may name a session by."""
    return Principal("AWS", (session.role_arn, session.arn), account_names(session.account_id))


def account_names(account: str) -> tuple[str, str]:
    """Return what trust policies name everybody in an account by."""
    return f"arn:aws:iam::{account}:root", account


def trust(role_arn: str, principal: Principal, context: Mapping[str, str | None]) -> Trust:
    """Return what a role says of somebody who wants to assume it. One that is not there trusts nobody."""
    role = find(role_arn)
    if role is None:
        return Trust.REFUSED
    return policies.trusts(role.assume_role_policy_document, principal, Call("sts:AssumeRole", (role_arn,), context))


def assume_for_service(
    role_arn: str, service: str, session: str, seconds: int, context: Mapping[str, str | None] | None = None
) -> AssumedRole | None:
    """Return a session of a role for an AWS service, such as `ec2.amazonaws.com`; None if the role does not trust it.

    `context` is what the service says of the resource that it acts for.
    """
    said = {"aws:sourceaccount": None, "aws:sourcearn": None, **(context or {})}
    role = find(role_arn)
    if role is None or trust(role_arn, Principal("Service", (service,)), said) is not Trust.NAMED:
        return None
    found: AssumedRole = sts_backends[role.account_id][PARTITION].assume_role(
        region_name="us-east-1",
        role_session_name=session,
        role_arn=role_arn,
        policy="",
        duration=seconds,
        external_id="",
    )
    return found


def refuse_resource_policies(call: Call, parameters: Mapping[str, Any]) -> None:
    """Raise NotJudgedError if a resource of a call has a policy or a key of its own, which is not judged here."""
    for arn in call.resources or ():
        if problem := next(_own_rules(arn, parameters), None):
            raise NotJudgedError(f"{problem} of {arn}")


def _own_rules(arn: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    if arn.count(":") < policies.ARN_PARTS - 1:
        return
    _, _, service, region, account, name = arn.split(":", policies.ARN_PARTS - 1)
    if service == "sqs":
        queue = sqs_backends[account][region].queues.get(name)
        if queue and queue.policy:
            yield "the policy"
    elif service == "ecr":
        repository = ecr_backends[account][region].repositories.get(name.removeprefix("repository/"))
        if repository and repository.policy:
            yield "the policy"
    elif service == "ssm" and name.startswith("parameter/") and parameters.get("WithDecryption"):
        parameter = ssm_backends[account][region].get_parameter(name.removeprefix("parameter"))
        if parameter and parameter.keyid not in (None, AWS_MANAGED_KEY):
            yield f"the key {parameter.keyid}"
