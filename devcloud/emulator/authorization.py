"""Let in only whoever may do what a request asks, as AWS does: by key, signature, and the policies of a role.

The operator's key is an administrator. Every other key must be that of a session of a role, made by AssumeRole, by the
metadata service or for a task, and the policies that the program declared for the role decide. IAM's users and a
federation's tokens are unknown keys here. What a policy has that cannot be judged is refused, by name. Paths that are
devcloud's own or moto's (`/_tasks`, `/moto-api`) are the operator's alone, whatever a role's policies say.
"""

import datetime
import io
import re
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.iam.models import get_account_id_from
from moto.sts.models import AssumedRole

from devcloud.emulator import call_targets, policies, roles, signatures
from devcloud.emulator.call_targets import Asked, Scope
from devcloud.emulator.constraints import LARGEST_BODY
from devcloud.emulator.operator_key import OperatorKey
from devcloud.emulator.policies import Call, NotJudgedError, Principal, Trust, Verdict
from devcloud.emulator.refusals import Kind, Refusal, answer
from devcloud.emulator.signatures import Request, Signed

WITHOUT_PERMISSION = {"sts:GetCallerIdentity"}
"""Calls that everybody may make, whatever policies say."""
ASSUME = "sts:AssumeRole"
REGION = re.compile(r"[a-z]+(-[a-z]+)+-\d+")


class RefusedError(Exception):
    """A request that AWS refuses."""

    def __init__(self, kind: Kind, message: str = "") -> None:
        super().__init__(message)
        self.refusal = Refusal(kind, message)


@dataclass(frozen=True)
class Authorization:
    """The application, asked only by those who may."""

    application: WSGIApplication
    operator: OperatorKey

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = _request(environ)
        claim = signatures.signed(request)
        service = claim.service if claim else ""
        asked = call_targets.asked(service, request.method, request.target, request.headers, request.body)
        try:
            self._check(request, claim, asked)
        except RefusedError as error:
            if error.refusal.kind is Kind.DENIED:
                sys.stderr.write(f"{time.strftime('%H:%M:%S')} denied: {error}\n")
            status, headers, body = answer(error.refusal, service, json="x-amz-target" in request.headers)
            start_response(status, headers)
            return [body]
        _leave_one_reading(environ, request)
        return self.application(environ, start_response)

    def _check(self, request: Request, claim: Signed | None, asked: Asked) -> None:
        """Raise RefusedError unless the request may pass."""
        if claim is None:
            raise RefusedError(Kind.NO_SIGNATURE)
        session = None
        if claim.access_key == self.operator.access_key:
            secret = self.operator.secret_key
        elif session := roles.session_of(claim.access_key):
            secret = session.secret_access_key
        else:
            raise RefusedError(Kind.UNKNOWN_KEY)
        if session and request.headers.get("x-amz-security-token") != session.session_token:
            raise RefusedError(Kind.UNKNOWN_KEY)
        if problem := signatures.problem(request, claim, secret, datetime.datetime.now(datetime.UTC)):
            raise RefusedError(Kind.WRONG_SIGNATURE, problem)
        if session is None:
            self._check_operator(claim, asked)
        elif roles.has_ended(session):
            raise RefusedError(Kind.ENDED)
        elif not REGION.fullmatch(claim.region):
            # moto finds a service by the host's name that it makes of the region: `sts.s3.amazonaws.com` is S3.
            raise RefusedError(Kind.WRONG_SIGNATURE, "Credential should be scoped to a valid region.")
        elif not asked.operation:
            raise RefusedError(Kind.DENIED, _no_call(session.arn, request))
        else:
            check_session(session, asked, claim.region)

    def _check_operator(self, claim: Signed, asked: Asked) -> None:
        """Raise RefusedError for a role that does not trust the operator, who may do everything else."""
        if (claim.service, asked.operation) == ("sts", "AssumeRole"):
            account = get_account_id_from(claim.access_key)
            user = f"arn:aws:iam::{account}:user/{OperatorKey.USER}"
            principal = Principal("AWS", (user,), roles.account_names(account))
            call = call_targets.call_of(asked, Scope(account, claim.region), _context(user, account))
            _check_trust(user, principal, call)


def check_session(session: AssumedRole, asked: Asked, region: str) -> None:
    """Raise RefusedError unless the policies of a session's role allow what is asked."""
    scope = Scope(session.account_id, region)
    call = call_targets.call_of(asked, scope, _context(session.role_arn, session.account_id))
    if call.action in WITHOUT_PERMISSION:
        return
    try:
        if session.policy:
            raise NotJudgedError("session policies")
        judgement = policies.judge(roles.documents(session.role_arn), call)
        if call.action == ASSUME and judgement.verdict is not Verdict.DENIED:
            said = _check_trust(session.arn, roles.principal_of(session), call)
            if asked.parameters.get("Policy") or any(key.startswith("PolicyArns") for key in asked.parameters):
                raise NotJudgedError("session policies")
            if said is Trust.NAMED:
                return  # a role that names another one needs no permission on the other side
        if judgement.verdict is Verdict.ALLOWED:
            roles.refuse_resource_policies(call, asked.parameters)
            return
    except NotJudgedError as error:
        raise RefusedError(Kind.DENIED, _not_judged(session.arn, call, error)) from None
    raise RefusedError(Kind.DENIED, denial(session.arn, call.action, judgement))


def _check_trust(who: str, principal: Principal, call: Call) -> Trust:
    """Return how a role's trust policy names somebody. Raise RefusedError if it does not."""
    (role_arn,) = call.resources or ("",)
    try:
        said = roles.trust(role_arn, principal, call.context)
    except NotJudgedError as error:
        raise RefusedError(Kind.DENIED, _not_judged(who, call, error)) from None
    if said is Trust.REFUSED:
        message = f"User: {who} is not authorized to perform: {ASSUME} on resource: {role_arn}"
        raise RefusedError(Kind.DENIED, message)
    return said


def denial(who: str, action: str, judgement: policies.Judgement) -> str:
    """Return AWS's sentence about a call that policies do not allow."""
    reason = f"because no identity-based policy allows the {action} action"
    if judgement.verdict is Verdict.DENIED:
        reason = "with an explicit deny in an identity-based policy"
    return f"User: {who} is not authorized to perform: {action} on resource: {judgement.resource} {reason}"


def _not_judged(who: str, call: Call, error: NotJudgedError) -> str:
    return (
        f"User: {who} is not authorized to perform: {call.action}: devcloud's emulator does not judge {error}. "
        "Teach it in devcloud/emulator/policies.py or call_targets.py."
    )


def _no_call(who: str, request: Request) -> str:
    path = request.target.partition("?")[0]
    return (
        f"User: {who} is not authorized to perform: {request.method} {path}: a role may make calls of AWS's JSON and "
        "query protocols, which are requests to POST /. devcloud's emulator judges no others."
    )


def _context(principal_arn: str, account: str) -> Mapping[str, str | None]:
    """Return the condition keys that are known of every caller. Only AWS's own services have a source."""
    return {
        "aws:principalarn": principal_arn,
        "aws:principalaccount": account,
        "aws:sourceaccount": None,
        "aws:sourcearn": None,
    }


def _request(environ: WSGIEnvironment) -> Request:
    """Return the request; its body can be read again."""
    length = environ.get("CONTENT_LENGTH") or ""
    body = environ["wsgi.input"].read(min(int(length), LARGEST_BODY)) if length.isdigit() else b""
    environ["wsgi.input"] = io.BytesIO(body)
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
    return Request(environ["REQUEST_METHOD"], environ.get("REQUEST_URI") or environ["PATH_INFO"], headers, body)


def _leave_one_reading(environ: WSGIEnvironment, request: Request) -> None:
    """Leave moto no other way to read a request than the one that was judged.

    moto takes `&Action=...` in a text of a JSON body for a parameter of the query protocol, which comes before the
    body's own, and `region/...` in the User-Agent for the region. No issue of moto's is known.
    """
    environ.pop("HTTP_USER_AGENT", None)
    is_json = request.headers.get("content-type", "").startswith(call_targets.JSON)
    # moto unpacks gzip alone, and reads a body with any other encoding as it is.
    if is_json and request.headers.get("content-encoding") != "gzip":
        body = request.body.replace(b"&", rb"\u0026")  # the same to JSON, which has it in texts only
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
