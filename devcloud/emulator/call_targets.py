"""Say what a request to AWS does and to which resources, in the words of IAM's policies: pure functions.

Listed are the calls that the program's roles make, and those that an attacker in their place would try first. The
resources of any other action are unknown (None), and the judge allows it only by a statement for every resource.
"""

import json
import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devcloud.emulator.policies import Call

IAM_PREFIXES = {"monitoring": "cloudwatch"}
"""Services that policies call by another name than signatures do."""
IAM_ACTIONS = {"sqs:SendMessageBatch": "sqs:SendMessage", "sqs:DeleteMessageBatch": "sqs:DeleteMessage"}
"""Calls that need the permission of another one."""
JSON, FORM = "application/x-amz-json-1.", "application/x-www-form-urlencoded"
"""How the content types of the two protocols begin."""
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Scope:
    """The account and the region that a request is for."""

    account: str
    region: str

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource of this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


@dataclass(frozen=True)
class Asked:
    """A request as its protocol has it."""

    service: str
    """By which it was signed: `monitoring`."""
    operation: str
    """Empty for a request that is no call of AWS's JSON or query protocols."""
    parameters: Parameters


def asked(service: str, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Asked:
    """Return what a request asks for. `path` is with its query, `headers` are by lower-case name.

    AWS's JSON and query protocols are known, which send everything to `POST /`. Any other request asks for nothing, and
    so does one that could be read in two ways: moto might read it in the other one.
    """
    nothing = Asked(service, "", {})
    target = headers.get("x-amz-target", "").rpartition(".")[2]
    content_type = headers.get("content-type", "")
    if (method, path) != ("POST", "/"):
        return nothing
    try:
        if target and content_type.startswith(JSON):
            content = json.loads(body)
            return Asked(service, target, content) if isinstance(content, dict) else nothing
        if not target and content_type.startswith(FORM):
            pairs = urllib.parse.parse_qsl(body.decode(), keep_blank_values=True)
            fields = dict(pairs)
            return Asked(service, fields.get("Action", ""), fields) if len(fields) == len(pairs) else nothing
    except (ValueError, RecursionError):
        pass
    return nothing


def call_of(request: Asked, scope: Scope, context: Mapping[str, str | None]) -> Call:
    """Return what IAM judges. `context` is what is known of the caller."""
    name = f"{IAM_PREFIXES.get(request.service, request.service)}:{request.operation}"
    action = IAM_ACTIONS.get(name, name)
    find = RESOURCES.get(action)
    try:
        resources = None if find is None else tuple(find(request.parameters, scope))
    except (KeyError, TypeError, AttributeError):
        resources = None  # a request without what it must have
    values: dict[str, str | None] = {"aws:requestedregion": scope.region, **context}
    if action == "cloudwatch:PutMetricData":
        values["cloudwatch:namespace"] = request.parameters.get("Namespace")
    return Call(action, resources, values)


def _any(_parameters: Parameters, _scope: Scope) -> Sequence[str]:
    """Return what an action without resources is judged by."""
    return ("*",)


def _parameter(name: str, scope: Scope) -> str:
    """Return the ARN of a parameter by its name or ARN, with or without a version or label (`/path/name:3`)."""
    if name.startswith("arn:"):
        name = name.split(":", 5)[5].removeprefix("parameter")
    name = name.partition(":")[0]
    return scope.arn("ssm", f"parameter{'' if name.startswith('/') else '/'}{name}")


def _parameter_by_name(parameters: Parameters, scope: Scope) -> Sequence[str]:
    return [_parameter(parameters["Name"], scope)]


def _parameters_by_names(parameters: Parameters, scope: Scope) -> Sequence[str]:
    return [_parameter(name, scope) for name in parameters["Names"]]


def _document(name: str, scope: Scope) -> str:
    if name.startswith("arn:"):
        return name
    return scope.arn("ssm", f"document/{name}")


def _document_by_name(parameters: Parameters, scope: Scope) -> Sequence[str]:
    return [_document(parameters["Name"], scope)]


def _command(parameters: Parameters, scope: Scope) -> Sequence[str]:
    if parameters.get("Targets"):
        raise KeyError("InstanceIds")  # which instances have those tags is not known here
    return [
        _document(parameters["DocumentName"], scope),
        *(scope.arn("ec2", f"instance/{each}") for each in parameters["InstanceIds"]),
    ]


def _repository(parameters: Parameters, scope: Scope) -> Sequence[str]:
    return [scope.arn("ecr", f"repository/{parameters['repositoryName']}")]


def _queue(parameters: Parameters, scope: Scope) -> Sequence[str]:
    account, name = parameters["QueueUrl"].rstrip("/").split("/")[-2:]
    return [Scope(account, scope.region).arn("sqs", name)]


def _log_stream(parameters: Parameters, scope: Scope) -> Sequence[str]:
    group, stream = parameters["logGroupName"], parameters.get("logStreamName", "")
    return [scope.arn("logs", f"log-group:{group}:log-stream:{stream}")]


def _role(parameters: Parameters, _scope: Scope) -> Sequence[str]:
    return [parameters["RoleArn"]]


def _instances(parameters: Parameters, scope: Scope) -> Sequence[str]:
    """Return the instances of a request of EC2's protocol, which has one as `InstanceId` or several, numbered."""
    ids = [value for key, value in parameters.items() if re.fullmatch(r"InstanceId(\.\d+)?", key)]
    if not ids:
        raise KeyError("InstanceId")
    return [scope.arn("ec2", f"instance/{each}") for each in ids]


RESOURCES: Mapping[str, Callable[[Parameters, Scope], Sequence[str]]] = {
    "cloudwatch:PutMetricData": _any,
    "ec2:DescribeInstances": _any,
    "ec2:GetConsoleOutput": _instances,
    "ecr:BatchCheckLayerAvailability": _repository,
    "ecr:BatchGetImage": _repository,
    "ecr:GetAuthorizationToken": _any,
    "ecr:GetDownloadUrlForLayer": _repository,
    "ecr:PutImage": _repository,
    "logs:CreateLogGroup": _log_stream,
    "logs:CreateLogStream": _log_stream,
    "logs:DescribeLogStreams": _log_stream,
    "logs:GetLogEvents": _log_stream,
    "logs:PutLogEvents": _log_stream,
    "sqs:ChangeMessageVisibility": _queue,
    "sqs:DeleteMessage": _queue,
    "sqs:GetQueueAttributes": _queue,
    "sqs:PurgeQueue": _queue,
    "sqs:ReceiveMessage": _queue,
    "sqs:SendMessage": _queue,
    "ssm:DescribeDocument": _document_by_name,
    "ssm:DescribeInstanceInformation": _any,
    "ssm:GetCommandInvocation": _any,
    "ssm:GetDocument": _document_by_name,
    "ssm:GetParameter": _parameter_by_name,
    "ssm:GetParameterHistory": _parameter_by_name,
    "ssm:GetParameters": _parameters_by_names,
    "ssm:ListCommandInvocations": _any,
    "ssm:PutParameter": _parameter_by_name,
    "ssm:SendCommand": _command,
    "sts:AssumeRole": _role,
}
"""The ARNs that a call concerns, by the action that IAM judges."""
