"""Refuse a request that breaks the constraints of AWS's published model, as AWS's JSON services do.

`required`, `min`, `max`, `pattern` and `enum` are in the service models that botocore ships. SDKs check few of them and
moto fewer, so a request that AWS refuses would pass here. The messages are those of AWS's own framework: the path of a
value is in lower camel case, and the items of a list are counted from 1.
"""

import functools
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import botocore.session
import regex
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel, ServiceModel, Shape

CODES: Mapping[str, str] = {
    "budgets": "InvalidParameterException",
    "ecr": "InvalidParameterException",
    "ecs": "InvalidParameterException",
    "logs": "InvalidParameterException",
    "sqs": "InvalidParameterValue",
}
"""The error code of each service; the others have ValidationException."""

PATTERN_SECONDS = 1.0
"""Some of AWS's patterns take for ever on a text that does not match; such a text passes."""

SHOWN = 200
"""Characters of a value that a message shows."""


class Constraints:
    """The application, asked only what AWS's models allow."""

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request, or refuse it."""
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        operation = _operation(_signed_for(environ), target) if target else None
        if operation is None:
            return self.application(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        problems = list(problems_of(operation, body))
        if not problems:
            return self.application(environ, start_response)
        return _refuse(operation.service_model, problems, start_response)


def problems_of(operation: OperationModel, body: bytes) -> Iterator[str]:
    """Yield each constraint that a JSON request breaks, in AWS's words. A body that is no object is left to moto."""
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return
    if operation.input_shape is not None and isinstance(request, dict):
        yield from _structure(operation.input_shape, request, "")


def _structure(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    given = {name: item for name, item in value.items() if item is not None}
    for name in shape.required_members:
        if name not in given:
            yield f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, item in given.items():
        if name in shape.members:
            yield from _value(shape.members[name], item, _join(path, name))


def _value(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Yield what is wrong with a value; one of another type than the shape's is left to moto."""
    match shape.type_name, value:
        case "structure", dict():
            yield from _structure(shape, value, path)
        case "list", list():
            yield from _within(shape, len(value), value, path, "length")
            for number, item in enumerate(value, start=1):
                yield from _value(shape.member, item, f"{path}.{number}.member")
        case "map", dict():
            yield from _within(shape, len(value), value, path, "length")
            for key, item in value.items():
                yield from _value(shape.key, key, f"{path}.key")
                yield from _value(shape.value, item, f"{path}.{key}.member")
        case "string", str():
            yield from _text(shape, value, path)
        case (("integer" | "long" | "float" | "double"), (int() | float())):
            yield from _within(shape, value, value, path, "value")
        case _:
            return


def _text(shape: Any, value: str, path: str) -> Iterator[str]:
    pattern = shape.metadata.get("pattern")
    if pattern and not _matches(pattern, value):
        yield _broken(shape, value, path, f"Member must satisfy regular expression pattern: {pattern}")
    yield from _within(shape, len(value), value, path, "length")
    if shape.enum and value not in shape.enum:
        yield _broken(shape, value, path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")


def _within(shape: Any, size: float, value: Any, path: str, what: str) -> Iterator[str]:
    lowest, highest = shape.metadata.get("min"), shape.metadata.get("max")
    if highest is not None and size > highest:
        yield _broken(shape, value, path, f"Member must have {what} less than or equal to {highest}")
    if lowest is not None and size < lowest:
        yield _broken(shape, value, path, f"Member must have {what} greater than or equal to {lowest}")


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


def _broken(shape: Shape, value: Any, path: str, constraint: str) -> str:
    # A secret is in no message. AWS says no value either.
    shown = "" if shape.metadata.get("sensitive") else f" '{_shown(value)}'"
    return f"Value{shown} at '{path}' failed to satisfy constraint: {constraint}"


def _shown(value: Any) -> str:
    text = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _join(path: str, name: str) -> str:
    member = name[0].lower() + name[1:]
    return f"{path}.{member}" if path else member


def _signed_for(environ: WSGIEnvironment) -> str:
    """Return the service that a request was signed for: `ecs` out of the credential's scope."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",")[0].split("/")
    return scope[3] if len(scope) == 5 else ""


@functools.cache
def _service(name: str) -> ServiceModel | None:
    try:
        return botocore.session.get_session().get_service_model(name)
    except UnknownServiceError:
        return None


def _operation(service_name: str, target: str) -> OperationModel | None:
    """Return the model of the operation that `X-Amz-Target` names, or None if botocore has none."""
    service = _service(service_name)
    prefix, _, name = target.rpartition(".")
    if service is None or service.metadata.get("targetPrefix") != prefix or name not in service.operation_names:
        return None
    return service.operation_model(name)


def _refuse(service: ServiceModel, problems: list[str], start_response: StartResponse) -> Iterable[bytes]:
    code = CODES.get(service.service_name, "ValidationException")
    noun = "error" if len(problems) == 1 else "errors"
    message = f"{len(problems)} validation {noun} detected: {'; '.join(problems)}"
    body = json.dumps({"__type": code, "message": message}).encode()
    headers = [
        ("Content-Type", f"application/x-amz-json-{service.metadata.get('jsonVersion', '1.1')}"),
        ("Content-Length", str(len(body))),
        ("x-amzn-ErrorType", code),
    ]
    start_response("400 Bad Request", headers)
    return [body]
