"""Answer the machines behind EC2's instances, at the emulator's own address.

`/_devcloud/instances`: the data plane reads which instances should run, and reports which do. `/_devcloud/agent`: the
agent of an instance takes its commands. A request to 169.254.169.254 is one to the metadata service. An instance is
known by the address that its request comes from.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.ec2.models.instances import Instance
from moto.sts.models import AssumedRole

from devcloud.emulator import metadata, policies, roles, ssm_commands
from devcloud.emulator.machines import MACHINES, volumes
from devcloud.emulator.policies import Call, NotJudgedError, Verdict

PREFIX = "/_devcloud/"
DATA_PLANE = "127.0.0.1"
"""The address that the data plane asks from: containers come from others."""
POLL_SECONDS = 20.0
"""How long a request for commands is held open if there is none."""
CREDENTIALS_SECONDS = 6 * 3600
"""How long a role's credentials last, as EC2 has it."""
RENEWED_SECONDS = 15 * 60
"""New ones are given out so long before that."""
ROLE_OF_SERVICE = "iam/security-credentials"
NOT_TRUSTED = (
    "EC2 cannot assume the role {}.  Please see documentation at https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc."
)
AGENT_ACTIONS = (
    *("ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:OpenControlChannel"),
    *("ec2messages:GetMessages", "ec2messages:AcknowledgeMessage", "ec2messages:SendReply"),
)
"""The permissions without which AWS's agent takes no commands."""


class MachineApi:
    """The application, with what machines ask of it answered here."""

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application
        self.tokens = metadata.Tokens()
        self.credentials = Credentials()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ.get("HTTP_HOST", "").partition(":")[0] == "169.254.169.254":
            return self._metadata(environ, start_response)
        if not path.startswith(PREFIX):
            return self.application(environ, start_response)
        status, content = self._machines(environ, path.removeprefix(PREFIX))
        body = json.dumps(content).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    def _machines(self, environ: WSGIEnvironment, path: str) -> tuple[HTTPStatus, dict[str, Any]]:
        method, address = environ["REQUEST_METHOD"], environ.get("REMOTE_ADDR", "")
        if not path.startswith("agent/") and address != DATA_PLANE:
            return HTTPStatus.FORBIDDEN, {"problem": f"{PREFIX}{path} is for the data plane, on {DATA_PLANE}."}
        if (method, path) == ("GET", "instances"):
            return HTTPStatus.OK, {"instances": MACHINES.wanted()}
        if (method, path) == ("GET", "volumes"):
            return HTTPStatus.OK, {"volumes": volumes()}
        if method == "POST" and path.startswith("instances/"):
            MACHINES.report(path.removeprefix("instances/"), _json(environ))
            return HTTPStatus.OK, {}
        if method == "POST" and path in ("agent/poll", "agent/begin", "agent/report"):
            instance = MACHINES.at(address)
            if instance is None:
                return HTTPStatus.FORBIDDEN, {"problem": f"No instance has the address {address}."}
            if problem := agent_problem(instance):
                return HTTPStatus.FORBIDDEN, {"problem": problem}
            if path == "agent/poll":
                return HTTPStatus.OK, poll(instance)
            if path == "agent/begin":
                return HTTPStatus.OK, {"run": ssm_commands.begin(instance, _json(environ))}
            ssm_commands.report(instance, _json(environ))
            return HTTPStatus.OK, {}
        return HTTPStatus.NOT_FOUND, {"problem": f"There is no {method} {PREFIX}{path}."}

    def _metadata(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        instance = MACHINES.at(environ.get("REMOTE_ADDR", ""))
        if instance is None:
            found = metadata.Answer(HTTPStatus.NOT_FOUND)
        else:
            headers = {
                name.removeprefix("HTTP_").replace("_", "-").lower(): value
                for name, value in environ.items()
                if name.startswith("HTTP_")
            }
            method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
            found = metadata.answer(facts(instance, self.credentials), self.tokens, method, path, headers)
        body = found.body.encode()
        listed = [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *found.headers.items()]
        start_response(f"{found.status.value} {found.status.phrase}", listed)
        return [body]


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


class Credentials:
    """The credentials of instances' roles, renewed before they end."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], AssumedRole] = {}
        self._lock = threading.Lock()

    def of(self, instance: Instance, role_arn: str) -> str:
        """Return what the metadata service says of a role's credentials."""
        key = (instance.id, role_arn)
        with self._lock:
            role = self._given.get(key)
            now = datetime.now(UTC).replace(tzinfo=None)
            if role is None or (role.expiration - now).total_seconds() < RENEWED_SECONDS:
                role = roles.assume_for_service(role_arn, "ec2.amazonaws.com", instance.id, CREDENTIALS_SECONDS)
                if role is None:
                    message = NOT_TRUSTED.format(role_arn.rpartition("/")[2])
                    refused = {"Code": "AssumeRoleUnauthorizedAccess", "Message": message, "LastUpdated": _time(now)}
                    return json.dumps(refused, indent=2)
                self._given[key] = role
        content = {
            "Code": "Success",
            "LastUpdated": _time(now),
            "Type": "AWS-HMAC",
            "AccessKeyId": role.access_key_id,
            "SecretAccessKey": role.secret_access_key,
            "Token": role.session_token,
            "Expiration": _time(role.expiration),
        }
        return json.dumps(content, indent=2)


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


def facts(instance: Instance, credentials: Credentials) -> metadata.Facts:
    """Return what the metadata service knows of an instance."""
    primary, zone = instance.nics[0], instance.placement.zone or ""
    entries: dict[str, str | Callable[[], str]] = {
        "meta-data/ami-id": instance.image_id,
        "meta-data/hostname": instance.private_dns_name,
        "meta-data/instance-id": instance.id,
        "meta-data/instance-type": instance.instance_type,
        "meta-data/local-hostname": instance.private_dns_name,
        "meta-data/local-ipv4": instance.private_ip or "",
        "meta-data/mac": primary.mac_address,
        "meta-data/placement/availability-zone": zone,
        "meta-data/placement/region": instance.region_name,
        "dynamic/instance-identity/document": metadata.identity_document(
            {
                "accountId": instance.owner_id,
                "architecture": "x86_64",
                "availabilityZone": zone,
                "imageId": instance.image_id,
                "instanceId": instance.id,
                "instanceType": instance.instance_type,
                "privateIp": instance.private_ip,
                "region": instance.region_name,
            }
        ),
    }
    if instance.public_ip:
        entries["meta-data/public-ipv4"] = instance.public_ip
    if instance.user_data:
        entries["user-data"] = instance.user_data.decode()
    association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    if association:
        profile = association.iam_instance_profile
        information = {"Code": "Success", "InstanceProfileArn": profile.arn, "InstanceProfileId": profile.id}
        entries["meta-data/iam/info"] = json.dumps(information, indent=2)
        for role in profile.roles:
            entries[f"meta-data/{ROLE_OF_SERVICE}/{role.name}"] = _credentials_of(credentials, instance, role.arn)
    options = instance.metadata_options
    return metadata.Facts(
        instance.id,
        entries,
        token_required=options.http_tokens == "required",
        enabled=options.http_endpoint != "disabled",
    )


def _credentials_of(credentials: Credentials, instance: Instance, role_arn: str) -> Callable[[], str]:
    return lambda: credentials.of(instance, role_arn)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(environ: WSGIEnvironment) -> dict[str, Any]:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    content: dict[str, Any] = json.loads(environ["wsgi.input"].read(length) or b"{}")
    return content
