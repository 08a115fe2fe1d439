"""Serve the instance metadata service: each instance sees itself, by the address that its request comes from.

On a port of its own, which no header leads to: the host's network sends there what the host itself asks of
169.254.169.254. With a hop limit of 1 it drops requests of the host's containers (`devcloud/machines/image/boot.py`).
"""

import json
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIEnvironment

from moto.ec2.models.instances import Instance
from moto.sts.models import AssumedRole

from devcloud.emulator import metadata, roles
from devcloud.emulator.machines import MACHINES

CREDENTIALS_SECONDS = 6 * 3600
"""How long a role's credentials last, as EC2 has it."""
RENEWED_SECONDS = 15 * 60
"""New ones are given out so long before that."""
ROLE_OF_SERVICE = "iam/security-credentials"
NOT_TRUSTED = (
    "EC2 cannot assume the role {}.  Please see documentation at https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc."
)


class MetadataApi:
    """The service for all instances."""

    def __init__(self) -> None:
        self.tokens = metadata.Tokens()
        self.credentials = Credentials()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
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
