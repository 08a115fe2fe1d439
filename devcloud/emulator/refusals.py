"""Answer a request that may not pass, with the code and the words of the service that it was for: pure functions."""

import enum
import json as json_format
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from xml.sax.saxutils import escape

Headers = list[tuple[str, str]]


class Kind(enum.Enum):
    """Why a request may not pass."""

    NO_SIGNATURE = "no signature"
    UNKNOWN_KEY = "unknown key"
    ENDED = "session has ended"
    WRONG_SIGNATURE = "wrong signature"
    DENIED = "denied"


@dataclass(frozen=True)
class Refusal:
    """A refusal and AWS's sentence, if it is not the same for all."""

    kind: Kind
    message: str = ""


MESSAGES: Mapping[Kind, str] = {
    Kind.NO_SIGNATURE: "Request is missing Authentication Token",
    Kind.UNKNOWN_KEY: "The security token included in the request is invalid.",
    Kind.ENDED: "The security token included in the request is expired",
}
JSON_CODES: Mapping[Kind, str] = {
    Kind.NO_SIGNATURE: "MissingAuthenticationTokenException",
    Kind.UNKNOWN_KEY: "UnrecognizedClientException",
    Kind.ENDED: "ExpiredTokenException",
    Kind.WRONG_SIGNATURE: "InvalidSignatureException",
    Kind.DENIED: "AccessDeniedException",
}
QUERY_CODES: Mapping[Kind, str] = {
    Kind.NO_SIGNATURE: "MissingAuthenticationToken",
    Kind.UNKNOWN_KEY: "InvalidClientTokenId",
    Kind.ENDED: "ExpiredToken",
    Kind.WRONG_SIGNATURE: "SignatureDoesNotMatch",
    Kind.DENIED: "AccessDenied",
}
UNVERIFIED = "AWS was not able to validate the provided access credentials"


def answer(refusal: Refusal, service: str, *, json: bool) -> tuple[str, Headers, bytes]:
    """Return status, headers and body. `json` says that the request was of AWS's JSON protocols."""
    message = refusal.message or MESSAGES.get(refusal.kind, "")
    if service == "ec2":
        return _ec2(refusal.kind, message)
    if json:
        return _json(refusal.kind, message, service)
    return _query(refusal.kind, message)


def _json(kind: Kind, message: str, service: str) -> tuple[str, Headers, bytes]:
    headers = [("x-amzn-ErrorType", JSON_CODES[kind])]
    status = HTTPStatus.BAD_REQUEST
    if service == "sqs":
        # SQS keeps the codes of its older protocol, which SDKs read from this header.
        headers.append(("x-amzn-query-error", f"{QUERY_CODES[kind]};Sender"))
        status = HTTPStatus.FORBIDDEN
    body = json_format.dumps({"__type": JSON_CODES[kind], "message": message}).encode()
    return _answer(status, "application/x-amz-json-1.1", body, headers)


def _query(kind: Kind, message: str) -> tuple[str, Headers, bytes]:
    code = QUERY_CODES[kind]
    text = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        "<RequestId>devcloud</RequestId></ErrorResponse>"
    )
    return _answer(HTTPStatus.FORBIDDEN, "text/xml", text.encode(), [("x-amzn-ErrorType", code)])


def _ec2(kind: Kind, message: str) -> tuple[str, Headers, bytes]:
    status, code, text = HTTPStatus.UNAUTHORIZED, "AuthFailure", UNVERIFIED
    if kind is Kind.DENIED:
        status, code = HTTPStatus.FORBIDDEN, "UnauthorizedOperation"
        text = f"You are not authorized to perform this operation. {message}"
    elif kind is Kind.ENDED:
        status, code, text = HTTPStatus.BAD_REQUEST, "RequestExpired", "Request has expired."
    body = (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(text)}</Message></Error></Errors>"
        "<RequestID>devcloud</RequestID></Response>"
    )
    return _answer(status, "text/xml", body.encode(), [("x-amzn-ErrorType", code)])


def _answer(status: HTTPStatus, content_type: str, body: bytes, more: Headers) -> tuple[str, Headers, bytes]:
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), *more]
    return f"{status.value} {status.phrase}", headers, body
