"""`python -m app.api.health`: the image's HEALTHCHECK. Standard library only: it runs every few seconds."""

import http.client
import sys

PORT = 8000
TIMEOUT_SECONDS = 3


def healthy(port: int) -> bool:
    """Whether the API on this container's loopback answers GET /health with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if healthy(PORT) else 1)
