"""Ask the emulator for credentials of a task's role, as ECS gives them to the task's containers."""

import json
import urllib.error
import urllib.request

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from devcloud.cloud.aws import REGION
from devcloud.cloud.cloud import Cloud
from devcloud.util.console import UserError

SECONDS = 30


def credentials(cloud: Cloud, role_arn: str, task_arn: str) -> dict[str, str]:
    """Return credentials by the names of AWS's environment variables. Raise UserError if the role trusts no task."""
    key = cloud.credentials
    body = json.dumps({"role": role_arn, "task": task_arn}).encode()
    url = f"{cloud.endpoint}/_tasks/credentials"
    signed = AWSRequest("POST", url, data=body)
    signer = SigV4Auth(Credentials(key["AWS_ACCESS_KEY_ID"], key["AWS_SECRET_ACCESS_KEY"]), "ecs-tasks", REGION)
    signer.add_auth(signed)
    request = urllib.request.Request(url, body, dict(signed.headers.items()))  # noqa: S310  the loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            found: dict[str, str] = json.load(answer)
    except urllib.error.HTTPError as error:
        raise UserError(json.load(error)["problem"]) from None
    return found
