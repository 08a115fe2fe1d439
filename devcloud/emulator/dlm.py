"""Amazon Data Lifecycle Manager, which moto does not have: the policies that make snapshots.

A policy is checked and kept as AWS does, but nothing here makes snapshots: those of a cloud on this machine would hold
no blocks. moto finds its services by a list of its own modules, so these calls are answered in front of it.
"""

import json
import secrets
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.utils import iso_8601_datetime_with_milliseconds, utcnow
from moto.iam.models import get_account_id_from

from devcloud.emulator import constraints, dlm_refusals, roles
from devcloud.emulator.constraints import LARGEST_BODY
from devcloud.emulator.policies import Principal, Trust

SERVICE = Principal("Service", ("dlm.amazonaws.com",))
SIMPLE = ("Description", "ExecutionRoleArn", "State")
MOST_POLICIES = 100
"""Policies of an account in a region (Quotas in the user guide)."""


class DlmError(Exception):
    """A request that AWS refuses: by status, code and message."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass
class Policy:
    """A policy as GetLifecyclePolicy shows it."""

    arn: str
    shown: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)


class DlmBackend(BaseBackend):
    """The policies of an account in a region, by id."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.policies: dict[str, Policy] = {}

    def policy(self, policy_id: str) -> Policy:
        """Return a policy. Raises DlmError."""
        if policy_id not in self.policies:
            raise _not_found(f"Policy {policy_id} was not found.")
        return self.policies[policy_id]

    def by_arn(self, arn: str) -> Policy:
        """Return the policy of an ARN. Raises DlmError."""
        found = self.policies.get(arn.rpartition("/")[2])
        if found is None or found.arn != arn:
            raise _not_found(f"Resource {arn} was not found.")
        return found

    def create(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """CreateLifecyclePolicy."""
        if len(self.policies) >= MOST_POLICIES:
            raise DlmError(HTTPStatus.TOO_MANY_REQUESTS, "LimitExceededException", "Too many lifecycle policies.")
        if not asked.get("PolicyDetails"):
            raise _invalid("A custom policy needs PolicyDetails; devcloud's emulator does not know default policies.")
        policy_id = f"policy-0{secrets.token_hex(8)}"
        policy = Policy(
            f"arn:aws:dlm:{self.region_name}:{self.account_id}:policy/{policy_id}",
            {"PolicyId": policy_id, "DateCreated": _now()},
            dict(asked.get("Tags") or {}),
        )
        self._change(policy, asked)
        self.policies[policy_id] = policy
        return {"PolicyId": policy_id}

    def update(self, policy_id: str, asked: Mapping[str, Any]) -> None:
        """UpdateLifecyclePolicy: what is named is replaced."""
        self._change(self.policy(policy_id), asked)

    def _change(self, policy: Policy, asked: Mapping[str, Any]) -> None:
        changed = {name: asked[name] for name in SIMPLE if asked.get(name) is not None}
        if asked.get("PolicyDetails") is not None:
            for problem in dlm_refusals.problems(asked["PolicyDetails"]):
                raise _invalid(problem)
            changed["PolicyDetails"] = _filled(asked["PolicyDetails"])
        if "ExecutionRoleArn" in changed:
            self._check_role(changed["ExecutionRoleArn"], policy.arn)
        policy.shown |= {**changed, "DateModified": _now()}

    def _check_role(self, role_arn: str, policy_arn: str) -> None:
        """Refuse a role that is not there, or that the service may not take for this policy."""
        said = {"aws:sourceaccount": self.account_id, "aws:sourcearn": policy_arn}
        if roles.trust(role_arn, SERVICE, said) is not Trust.NAMED:
            # The words are not AWS's: public issues show the code alone.
            raise _invalid(f"Role {role_arn} does not exist, or cannot be assumed by dlm.amazonaws.com.")

    def show(self, policy: Policy) -> dict[str, Any]:
        """Return a policy as GetLifecyclePolicy does."""
        return {**policy.shown, "PolicyArn": policy.arn, "Tags": policy.tags, "DefaultPolicy": False}

    def summaries(self) -> list[dict[str, Any]]:
        """Return the policies as GetLifecyclePolicies does."""
        names = ("PolicyId", "Description", "State", "Tags", "DefaultPolicy")
        return [
            {**{name: shown[name] for name in names}, "PolicyType": shown["PolicyDetails"]["PolicyType"]}
            for shown in map(self.show, self.policies.values())
        ]


BACKENDS = BackendDict(DlmBackend, "dlm")


@dataclass(frozen=True)
class Dlm:
    """The application, with the calls of Data Lifecycle Manager answered here."""

    application: WSGIApplication

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if constraints.signed_for(environ) != "dlm":
            return self.application(environ, start_response)
        headers = [("Content-Type", "application/json")]
        try:
            status, content = HTTPStatus.OK, _answer(environ)
        except DlmError as error:
            status, content = error.status, {"Code": error.code, "Message": str(error)}
            headers.append(("x-amzn-ErrorType", error.code))
        body = json.dumps(content).encode()
        start_response(f"{status.value} {status.phrase}", [*headers, ("Content-Length", str(len(body)))])
        return [body]


def _answer(environ: WSGIEnvironment) -> dict[str, Any]:
    """Return the answer to a call, which its method and path name. Raises DlmError."""
    backend = _backend(environ)
    _, collection, *rest = environ["PATH_INFO"].split("/", 2)
    match environ["REQUEST_METHOD"], collection, rest:
        case "POST", "policies", []:
            return backend.create(_body(environ, "CreateLifecyclePolicy"))
        case "GET", "policies", []:
            return {"Policies": backend.summaries()}
        case "GET", "policies", [policy_id]:
            return {"Policy": backend.show(backend.policy(policy_id))}
        case "PATCH", "policies", [policy_id]:
            backend.update(policy_id, _body(environ, "UpdateLifecyclePolicy", PolicyId=policy_id))
        case "DELETE", "policies", [policy_id]:
            del backend.policies[backend.policy(policy_id).shown["PolicyId"]]
        case "GET", "tags", [arn]:
            return {"Tags": backend.by_arn(arn).tags}
        case "POST", "tags", [arn]:
            backend.by_arn(arn).tags.update(_body(environ, "TagResource", ResourceArn=arn)["Tags"])
        case "DELETE", "tags", [arn]:
            tags = backend.by_arn(arn).tags
            for key in urllib.parse.parse_qs(environ["QUERY_STRING"]).get("tagKeys", []):
                tags.pop(key, None)
        case _:
            raise DlmError(HTTPStatus.NOT_FOUND, "UnknownOperationException", "There is no such call.")
    return {}


def _backend(environ: WSGIEnvironment) -> DlmBackend:
    access_key, region, _ = constraints.signed_by(environ)
    return BACKENDS[get_account_id_from(access_key)][region]


def _body(environ: WSGIEnvironment, operation: str, **named: str) -> dict[str, Any]:
    """Return the members of a request, with those that its path `named`. Raises DlmError if the model forbids them."""
    length = environ.get("CONTENT_LENGTH") or "0"
    try:
        content = json.loads(environ["wsgi.input"].read(min(int(length), LARGEST_BODY)) or b"{}")
    except ValueError:
        content = None
    model = constraints.service_model("dlm")
    if model is None or not isinstance(content, dict):
        raise DlmError(HTTPStatus.BAD_REQUEST, "SerializationException", "The body is no JSON object.")
    asked = {**content, **named}
    broken = list(constraints.problems_of(model.operation_model(operation), json.dumps(asked).encode()))
    if broken:
        raise DlmError(HTTPStatus.BAD_REQUEST, *constraints.answer("dlm", broken))
    return asked


def _filled(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the details of a policy with what AWS fills in."""
    filled = {"PolicyType": "EBS_SNAPSHOT_MANAGEMENT", "ResourceLocations": ["CLOUD"], "PolicyLanguage": "STANDARD"}
    schedules = [
        {"CopyTags": False, **schedule, "CreateRule": {"Location": "CLOUD", **schedule["CreateRule"]}}
        for schedule in details["Schedules"]
    ]
    return {**filled, **details, "Schedules": schedules}


def _now() -> str:
    return iso_8601_datetime_with_milliseconds(utcnow())


def _invalid(message: str) -> DlmError:
    return DlmError(HTTPStatus.BAD_REQUEST, "InvalidRequestException", message)


def _not_found(message: str) -> DlmError:
    return DlmError(HTTPStatus.NOT_FOUND, "ResourceNotFoundException", message)
