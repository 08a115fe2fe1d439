"""Give the operator credentials of tasks' roles, as ECS's agent gives them to a task's containers.

On AWS a container asks its agent at 169.254.170.2. Here devcloud runs the tasks, and asks for them.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from devcloud.emulator import roles

PATH = "/_tasks/credentials"
SECONDS = 6 * 3600
"""How long a task's credentials last, as ECS has it."""


@dataclass(frozen=True)
class TaskApi:
    """The application, with credentials of tasks answered here. Only the operator gets as far (see `authorization`)."""

    application: WSGIApplication

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            return self.application(environ, start_response)
        asked = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        status, content = credentials(asked["role"], asked["task"])
        body = json.dumps(content).encode()
        start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
        return [body]


def credentials(role_arn: str, task_arn: str) -> tuple[HTTPStatus, dict[str, str]]:
    """Return credentials of a role for a task, by the names of AWS's environment variables."""
    account = task_arn.split(":")[4]
    said = {"aws:sourceaccount": account, "aws:sourcearn": task_arn}
    role = roles.assume_for_service(role_arn, "ecs-tasks.amazonaws.com", task_arn.rpartition("/")[2], SECONDS, said)
    if role is None:
        problem = (
            f"ECS was unable to assume the role '{role_arn}' that was provided for this task. Please verify that the "
            "role being passed has the proper trust relationship and permissions and that your IAM user has "
            "permissions to pass this role."
        )
        return HTTPStatus.FORBIDDEN, {"problem": problem}
    return HTTPStatus.OK, {
        "AWS_ACCESS_KEY_ID": role.access_key_id,
        "AWS_SECRET_ACCESS_KEY": role.secret_access_key,
        "AWS_SESSION_TOKEN": role.session_token,
    }
