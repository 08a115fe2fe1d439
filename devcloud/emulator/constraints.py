"""Refuse a request that breaks the constraints of AWS's published model, as AWS's JSON services do.

`required`, `min`, `max`, `pattern` and `enum` are in the service models that botocore ships. SDKs check few of them and
moto fewer, so a request that AWS refuses would pass here. The messages are those of AWS's own framework: the path of a
value is in lower camel case, and the items of a list are counted from 1. ECR and SQS have words of their own.
"""

import functools
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import botocore.session
import regex
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel, ServiceModel

CODES: Mapping[str, str] = {
    "budgets": "InvalidParameterException",
    "ecr": "InvalidParameterException",
    "ecs": "InvalidParameterException",
    "logs": "InvalidParameterException",
    "sqs": "InvalidParameterValue",
}
"""The error code of each service; the others have ValidationException."""

EXEMPT = {("ReceiveMessage", "attributeNames")}
"""Members for which AWS takes more than its model says (boto/botocore#2726): by operation and path."""

PATTERN_SECONDS = 1.0
"""Time for one pattern. Some of AWS's take exponential time on a text that does not match; such a text passes."""

MOST_PROBLEMS = 20
LARGEST_BODY = 32 * 1024 * 1024
SHOWN = 200
"""Characters of a value that a message shows."""


@dataclass(frozen=True)
class Problem:
    """A constraint that a request breaks."""

    path: str
    value: str | None
    """Text of the value; None for a list, a map, and all that the model calls sensitive."""
    constraint: str
    missing: bool = False

    def __str__(self) -> str:
        """Return the message of AWS's framework."""
        value = " null" if self.missing else "" if self.value is None else f" '{self.value}'"
        return f"Value{value} at '{self.path}' failed to satisfy constraint: {self.constraint}"


class Constraints:
    """Ask the application only what AWS's models allow."""

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        operation = _operation(signed_for(environ), target) if target else None
        length = environ.get("CONTENT_LENGTH") or ""
        if operation is None or not length.isdigit() or int(length) > LARGEST_BODY:
            return self.application(environ, start_response)
        body = environ["wsgi.input"].read(int(length))
        environ["wsgi.input"] = io.BytesIO(body)
        problems = list(itertools.islice(problems_of(operation, body), MOST_PROBLEMS))
        if not problems:
            return self.application(environ, start_response)
        return _refuse(operation.service_model, problems, start_response)


def problems_of(operation: OperationModel, body: bytes) -> Iterator[Problem]:
    """Yield each constraint that a JSON request breaks. A body that is no object is left to moto."""
    try:
        request = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return
    if operation.input_shape is not None and isinstance(request, dict):
        for problem in _structure(operation.input_shape, request, "", hidden=False):
            if (operation.name, problem.path.partition(".")[0]) not in EXEMPT:
                yield problem


def _structure(shape: Any, value: Mapping[str, Any], path: str, *, hidden: bool) -> Iterator[Problem]:
    given = {name: item for name, item in value.items() if item is not None}
    for name in shape.required_members:
        if name not in given:
            yield Problem(_join(path, name), None, "Member must not be null", missing=True)
    for name, item in given.items():
        if name in shape.members:
            yield from _value(shape.members[name], item, _join(path, name), hidden=hidden)


def _value(shape: Any, value: Any, path: str, *, hidden: bool) -> Iterator[Problem]:
    """Yield what is wrong with a value; one of another type than the shape's is left to moto.

    `hidden` keeps values out of the messages: nothing inside of what the model calls sensitive is shown.
    """
    hidden = hidden or bool(shape.metadata.get("sensitive"))
    match shape.type_name, value:
        case "structure", dict():
            yield from _structure(shape, value, path, hidden=hidden)
        case "list", list():
            yield from _within(shape, len(value), None, path, "length")
            for number, item in enumerate(value, start=1):
                yield from _value(shape.member, item, f"{path}.{number}.member", hidden=hidden)
        case "map", dict():
            yield from _within(shape, len(value), None, path, "length")
            for key, item in value.items():
                yield from _value(shape.key, key, f"{path}.key", hidden=hidden)
                yield from _value(shape.value, item, f"{path}.{key[:SHOWN]}.member", hidden=hidden)
        case "string", str():
            yield from _text(shape, value, path, hidden=hidden)
        case (("integer" | "long" | "float" | "double"), (int() | float())):
            yield from _within(shape, value, None if hidden else str(value), path, "value")
        case _:
            return


def _text(shape: Any, value: str, path: str, *, hidden: bool) -> Iterator[Problem]:
    short = value if len(value) <= SHOWN else f"{value[:SHOWN]}..."
    shown = None if hidden else short
    pattern = shape.metadata.get("pattern")
    if pattern and not _matches(pattern, value):
        yield Problem(path, shown, f"Member must satisfy regular expression pattern: {pattern}")
    yield from _within(shape, len(value), shown, path, "length")
    if shape.enum and value not in shape.enum:
        yield Problem(path, shown, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")


def _within(shape: Any, size: float, shown: str | None, path: str, what: str) -> Iterator[Problem]:
    lowest, highest = shape.metadata.get("min"), shape.metadata.get("max")
    if highest is not None and size > highest:
        yield Problem(path, shown, f"Member must have {what} less than or equal to {highest}")
    if lowest is not None and size < lowest:
        yield Problem(path, shown, f"Member must have {what} greater than or equal to {lowest}")


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    try:
        return regex.compile(pattern)
    except regex.error:  # the models' patterns are Java's
        return None


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    if compiled is None:
        return True
    try:
        return compiled.fullmatch(value, timeout=PATTERN_SECONDS) is not None
    except TimeoutError:
        return True


def _join(path: str, name: str) -> str:
    member = name[0].lower() + name[1:]
    return f"{path}.{member}" if path else member


def signed_for(environ: WSGIEnvironment) -> str:
    """Return the service that a request was signed for: `ecs` out of the credential's scope."""
    return signed_by(environ)[2]


def signed_by(environ: WSGIEnvironment) -> tuple[str, str, str]:
    """Return the access key, the region and the service of a request's signature; empty texts if it has none."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",")[0].split("/")
    return (scope[0], scope[2], scope[3]) if len(scope) == 5 else ("", "", "")


@functools.lru_cache(maxsize=64)
def service_model(name: str) -> ServiceModel | None:
    try:
        return botocore.session.get_session().get_service_model(name)
    except UnknownServiceError:
        return None


def _operation(service_name: str, target: str) -> OperationModel | None:
    """Return the model of the operation that `X-Amz-Target` names, or None if botocore has none."""
    service = service_model(service_name)
    prefix, _, name = target.rpartition(".")
    if service is None or service.metadata.get("targetPrefix") != prefix or name not in service.operation_names:
        return None
    return service.operation_model(name)


def _refuse(service: ServiceModel, problems: Sequence[Problem], start_response: StartResponse) -> Iterable[bytes]:
    code, message = answer(service.service_name, problems)
    body = json.dumps({"__type": code, "message": message}).encode()
    headers = [
        ("Content-Type", f"application/x-amz-json-{service.metadata.get('jsonVersion', '1.1')}"),
        ("Content-Length", str(len(body))),
        ("x-amzn-ErrorType", code),
    ]
    start_response("400 Bad Request", headers)
    return [body]


def answer(service: str, problems: Sequence[Problem]) -> tuple[str, str]:
    """Return the code and the message of a refusal. ECR and SQS report the first problem only."""
    first = problems[0]
    if service == "sqs" and first.missing:  # pulumi-aws#5959
        return "MissingParameter", f"The request must contain the parameter {first.path[0].upper()}{first.path[1:]}."
    code = CODES.get(service, "ValidationException")
    if service == "ecr":  # jenkins-x/jx#1344
        constraint = first.constraint
        if first.path == "repositoryName":
            constraint = constraint.replace("Member must", "must").replace("pattern: ", "'", 1)
            constraint += "'" if "regular expression '" in constraint else ""
        return code, f"Invalid parameter at '{first.path}' failed to satisfy constraint: '{constraint}'"
    noun = "error" if len(problems) == 1 else "errors"
    return code, f"{len(problems)} validation {noun} detected: {'; '.join(map(str, problems))}"
