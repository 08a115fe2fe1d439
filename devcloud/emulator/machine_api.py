"""Answer the machines behind EC2's instances, at the emulator's own address.

`/_devcloud/instances` and `/_devcloud/volumes`: the data plane, which has the operator's key, reads which instances
should run, and reports which do. `/_devcloud/agent`: the agent of an instance takes its commands. It is known by the
address that its request comes from, and by a token that its host's root alone can read.
"""

import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.ec2.models.instances import Instance

from devcloud.emulator import policies, roles, ssm_commands
from devcloud.emulator.machines import MACHINES, volumes
from devcloud.emulator.policies import Call, NotJudgedError, Verdict

PREFIX = "/_devcloud/"
AGENT = f"{PREFIX}agent/"
TOKEN_HEADER = "X-Devcloud-Token"  # noqa: S105  a name
POLL_SECONDS = 20.0
"""How long a request for commands is held open if there is none."""
AGENT_ACTIONS = (
    *("ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:OpenControlChannel"),
    *("ec2messages:GetMessages", "ec2messages:AcknowledgeMessage", "ec2messages:SendReply"),
)
"""The permissions without which AWS's agent takes no commands."""


@dataclass(frozen=True)
class MachineApi:
    """Answer agents here, route the data plane to its own application, and pass the rest on."""

    application: WSGIApplication
    data_plane: WSGIApplication
    """Answers the data plane, which must have shown the operator's key."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith(AGENT):
            return agent(environ, start_response)
        if path.startswith(PREFIX):
            return self.data_plane(environ, start_response)
        return self.application(environ, start_response)


def data_plane(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request of the data plane. Only the operator gets as far (see `authorization`)."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix(PREFIX)
    if (method, path) == ("GET", "instances"):
        return _answer(start_response, HTTPStatus.OK, {"instances": MACHINES.wanted()})
    if (method, path) == ("GET", "volumes"):
        return _answer(start_response, HTTPStatus.OK, {"volumes": volumes()})
    if method == "POST" and path.startswith("instances/"):
        MACHINES.report(path.removeprefix("instances/"), _json(environ))
        return _answer(start_response, HTTPStatus.OK, {})
    return _answer(start_response, HTTPStatus.NOT_FOUND, {"problem": f"There is no {method} {PREFIX}{path}."})


def agent(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request of an instance's agent."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix(AGENT)
    address, token = environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_DEVCLOUD_TOKEN", "")
    instance = MACHINES.at(address)
    if instance is None or not secrets.compare_digest(token.encode(), MACHINES.of(instance.id).token.encode()):
        problem = f"{address} is the address of no instance with this token."
        return _answer(start_response, HTTPStatus.FORBIDDEN, {"problem": problem})
    if found := agent_problem(instance):
        return _answer(start_response, HTTPStatus.FORBIDDEN, {"problem": found})
    if (method, path) == ("POST", "poll"):
        return _answer(start_response, HTTPStatus.OK, poll(instance))
    if (method, path) == ("POST", "begin"):
        return _answer(start_response, HTTPStatus.OK, {"run": ssm_commands.begin(instance, _json(environ))})
    if (method, path) == ("POST", "report"):
        ssm_commands.report(instance, _json(environ))
        return _answer(start_response, HTTPStatus.OK, {})
    return _answer(start_response, HTTPStatus.NOT_FOUND, {"problem": f"There is no {method} {AGENT}{path}."})


def poll(instance: Instance) -> dict[str, Any]:
    """Return the commands for an instance's agent, and which to cancel. Wait for one if there is none."""
    machine = MACHINES.of(instance.id)
    deadline = time.monotonic() + POLL_SECONDS
    with MACHINES.changed:
        while True:
            machine.polled = time.monotonic()
            machine.pinged = datetime.now(UTC)
            work = ssm_commands.take(instance)
            left = deadline - time.monotonic()
            if work["commands"] or work["cancel"] or left <= 0:
                return work
            MACHINES.changed.wait(min(left, 5))


def agent_problem(instance: Instance) -> str | None:
    """Return the reason why an instance's agent takes no commands; None if its role lets it."""
    association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    if association is None:
        return f"{instance.id} has no role."
    for role in association.iam_instance_profile.roles:
        for action in AGENT_ACTIONS:
            try:
                allowed = policies.judge(roles.documents(role.arn), Call(action)).verdict is Verdict.ALLOWED
            except NotJudgedError as error:
                return f"devcloud's emulator does not judge {error}."
            if not allowed:
                return f"The role {role.name} does not allow {action}, which the agent needs."
    return None


def _answer(start_response: StartResponse, status: HTTPStatus, content: dict[str, Any]) -> Iterable[bytes]:
    body = json.dumps(content).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]


def _json(environ: WSGIEnvironment) -> dict[str, Any]:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    content: dict[str, Any] = json.loads(environ["wsgi.input"].read(length) or b"{}")
    return content
