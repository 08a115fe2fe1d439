"""Say for ECR's registry whose a token is and what it may do: the registry protocol itself knows tokens only."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from devcloud.emulator import roles
from devcloud.emulator.authorization import RefusedError, check_session
from devcloud.emulator.call_targets import Asked

PATH = "/_registry/allows"


@dataclass
class Tokens:
    """The registry's tokens: the operator's, and one for each session of a role that asked."""

    operator: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    sessions: dict[str, str] = field(default_factory=dict)
    """The access key of each session's token."""

    def of(self, access_key: str) -> str:
        """Return the token of an access key."""
        if roles.session_of(access_key) is None:
            return self.operator
        for token, key in list(self.sessions.items()):
            if key == access_key:
                return token
        token = secrets.token_urlsafe(32)
        self.sessions[token] = access_key
        return token


TOKENS = Tokens()
"""Those of this process."""


@dataclass(frozen=True)
class RegistryApi:
    """The application, with the registry's questions answered here. Only the operator gets as far."""

    application: WSGIApplication

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            return self.application(environ, start_response)
        asked = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        answer = allows(asked["token"], asked["operation"], asked["repository"], asked["region"])
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]


def allows(token: str, operation: str, repository: str, region: str) -> dict[str, Any]:
    """Return whether a token is known, and AWS's sentence if its owner may not do what is asked.

    Without an operation only the token is looked at.
    """
    if secrets.compare_digest(token.encode(), TOKENS.operator.encode()):
        return {"known": True, "problem": None}
    session = roles.session_of(TOKENS.sessions.get(token, ""))
    if session is None or roles.has_ended(session):
        return {"known": False, "problem": None}
    try:
        if operation:
            check_session(session, Asked("ecr", operation, {"repositoryName": repository}), region)
    except RefusedError as error:
        return {"known": True, "problem": str(error)}
    return {"known": True, "problem": None}
