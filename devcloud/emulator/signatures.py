"""Check a request's AWS Signature Version 4, which moto does not: pure functions.

The signature is made once more, by botocore's own signer, over what the request says it signed. Only signatures in the
Authorization header are known, as SDKs make them; not those in a URL.
"""

import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>[^/, ]+)/\d{8}/(?P<region>[^/, ]+)/(?P<service>[^/, ]+)/aws4_request"
    r", *SignedHeaders=(?P<headers>[^, ]+), *Signature=(?P<signature>[0-9a-f]+)"
)
CLOCK_SECONDS = 300
"""How far the clock of a caller may be off."""
TIME_FORMAT = "%Y%m%dT%H%M%SZ"
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    method: str
    target: str
    """Path and query, as they were sent."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


@dataclass(frozen=True)
class Signed:
    """The signature of a request, and the names that it goes by."""

    access_key: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str


def signed(request: Request) -> Signed | None:
    """Return what a request says of its signature; None if it has none."""
    found = AUTHORIZATION.fullmatch(request.headers.get("authorization", "").strip())
    if found is None:
        return None
    names = tuple(found["headers"].split(";"))
    return Signed(found["key"], found["region"], found["service"], names, found["signature"])


def problem(request: Request, claim: Signed, secret_key: str, now: datetime.datetime) -> str | None:
    """Return AWS's sentence about a signature that is wrong or of another time; None if it is right."""
    date = request.headers.get("x-amz-date", "")
    try:
        moment = datetime.datetime.strptime(date, TIME_FORMAT).replace(tzinfo=datetime.UTC)
    except ValueError:
        return f"Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
    if (late := _clock_problem(date, moment, now)) is not None:
        return late
    content_hash = hashlib.sha256(request.body).hexdigest()
    if request.headers.get("x-amz-content-sha256", content_hash) != content_hash:
        return MISMATCH
    if not {"host", "x-amz-date"} <= set(claim.headers):
        return MISMATCH
    return None if hmac.compare_digest(_signature(request, claim, secret_key), claim.signature) else MISMATCH


def _clock_problem(date: str, moment: datetime.datetime, now: datetime.datetime) -> str | None:
    limit = datetime.timedelta(seconds=CLOCK_SECONDS)
    earliest, latest = now - limit, now + limit
    if moment < earliest:
        known = f"{now.strftime(TIME_FORMAT)} - 5 min."
        return f"Signature expired: {date} is now earlier than {earliest.strftime(TIME_FORMAT)} ({known})"
    if moment > latest:
        known = f"{now.strftime(TIME_FORMAT)} + 5 min."
        return f"Signature not yet current: {date} is still later than {latest.strftime(TIME_FORMAT)} ({known})"
    return None


def _signature(request: Request, claim: Signed, secret_key: str) -> str:
    signer = SigV4Auth(Credentials(claim.access_key, secret_key), claim.service, claim.region)
    copy = AWSRequest(
        method=request.method,
        url=f"http://{request.headers.get('host', '')}{request.target}",
        headers={name: request.headers.get(name, "") for name in claim.headers},
        data=request.body,
    )
    copy.context["timestamp"] = request.headers["x-amz-date"]
    return str(signer.signature(signer.string_to_sign(copy, signer.canonical_request(copy)), copy))
