"""Sign requests to AWS: Signature Version 4, as a pure function.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Credentials:
    """Keys of a role, for a while."""

    access_key: str
    secret_key: str
    token: str
    expiration: str
    """ISO 8601, as AWS gives it."""


def signed_headers(
    credentials: Credentials,
    *,
    service: str,
    region: str,
    host: str,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime.datetime,
) -> dict[str, str]:
    """Return the headers of a POST to `/` with its signature; `now` is in UTC."""
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    every = {**headers, "Host": host, "X-Amz-Date": moment}
    if credentials.token:
        every["X-Amz-Security-Token"] = credentials.token
    signed = {name.lower(): " ".join(value.split()) for name, value in every.items()}
    names = ";".join(sorted(signed))
    request = "\n".join(
        [
            *("POST", "/", ""),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            *("", names, hashlib.sha256(body).hexdigest()),
        ]
    )
    to_sign = "\n".join([ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    credential = f"{credentials.access_key}/{scope}"
    every["Authorization"] = f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return every
