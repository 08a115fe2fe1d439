"""Refuse callers that are not this machine's own: web pages, and names that lead here by somebody else's DNS.

A page could otherwise ask the metadata service, which knows an instance by its address alone.
"""

import ipaddress
from collections.abc import Iterable
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

NAMES = ("localhost", "host.docker.internal")
"""Names under which this machine's programs and containers know the emulator."""


class Callers:
    """The application, without requests that a browser sends for a page."""

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "HTTP_ORIGIN" not in environ and is_own(environ.get("HTTP_HOST", "")):
            return self.application(environ, start_response)
        status = HTTPStatus.FORBIDDEN
        body = b"devcloud answers programs of this machine, not web pages.\n"
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]


def is_own(host: str) -> bool:
    """Return True if a request's Host is an address, or a name of this machine's own."""
    name = host.rpartition(":")[0] if ":" in host else host
    if name in NAMES:
        return True
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True
