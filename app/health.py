"""`python -m app.health`: the image's HEALTHCHECK. Standard library only: it runs every few seconds."""

import http.client
import os
import sys
from collections.abc import Mapping

from app.common.services import SERVICES

TIMEOUT_SECONDS = 3


def healthy(port: int) -> bool:
    """Whether the service on this container's loopback answers GET /health with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(environment: Mapping[str, str]) -> int:
    """The exit status: 0 where the service that SERVICE_TYPE names is well. One without a port is well as it runs."""
    service = SERVICES.get(environment.get("SERVICE_TYPE", "").strip())
    if service is None:
        return 1
    if service.port is None:
        return 0
    port = environment.get("PORT", "").strip()
    return 0 if healthy(int(port) if port.isdecimal() else service.port) else 1


if __name__ == "__main__":
    sys.exit(main(os.environ))
