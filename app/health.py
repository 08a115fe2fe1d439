"""`python -m app.health`: the image's HEALTHCHECK. Standard library only: it runs every few seconds."""

import http.client
import os
import sys
from collections.abc import Mapping

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
    """Return 0 if the service that SERVICE_TYPE names is well; one without PORT is well for as long as it runs."""
    if not environment.get("SERVICE_TYPE", "").strip():
        return 1
    port = environment.get("PORT", "").strip()
    if not port:
        return 0
    return 0 if port.isdecimal() and healthy(int(port)) else 1


if __name__ == "__main__":
    sys.exit(main(os.environ))
