"""The instance metadata service, version 2, as the instance that asks sees it: `answer` is a pure function.

Tokens last as long as they were asked for and belong to one instance. Without a token only an instance that allows
version 1 gets an answer.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

TOKEN_PATH = "/latest/api/token"  # noqa: S105  a path
TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "x-aws-ec2-metadata-token"  # noqa: S105  a name
LONGEST_SECONDS = 21_600


@dataclass(frozen=True)
class Facts:
    """An instance as the service knows it."""

    instance_id: str
    entries: Mapping[str, str | Callable[[], str]]
    """The values by their path below `/latest/`, some of them made when they are asked for."""
    token_required: bool
    enabled: bool = True


@dataclass(frozen=True)
class Answer:
    status: HTTPStatus
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Tokens:
    """The tokens that were given out."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[str, float]] = {}

    def give(self, instance_id: str, seconds: int) -> str:
        token = secrets.token_urlsafe(32)
        self._given = {old: (whose, end) for old, (whose, end) in self._given.items() if end > time.monotonic()}
        self._given[token] = (instance_id, time.monotonic() + seconds)
        return token

    def hold(self, instance_id: str, token: str) -> bool:
        """Return whether a token is this instance's and still good."""
        whose, end = self._given.get(token, ("", 0.0))
        return whose == instance_id and end > time.monotonic()


def answer(facts: Facts, tokens: Tokens, method: str, path: str, headers: Mapping[str, str]) -> Answer:
    """Answer a request. `headers` are by lower-case name."""
    if not facts.enabled:
        return Answer(HTTPStatus.FORBIDDEN)
    if method == "PUT" and path == TOKEN_PATH:
        return _token(facts, tokens, headers)
    if method != "GET":
        return Answer(HTTPStatus.METHOD_NOT_ALLOWED)
    token = headers.get(TOKEN_HEADER)
    if token is None and facts.token_required:
        return Answer(HTTPStatus.UNAUTHORIZED)
    if token is not None and not tokens.hold(facts.instance_id, token):
        return Answer(HTTPStatus.UNAUTHORIZED)
    return _entry(facts, path)


def _token(facts: Facts, tokens: Tokens, headers: Mapping[str, str]) -> Answer:
    if "x-forwarded-for" in headers:  # a proxy that forwards for somebody else
        return Answer(HTTPStatus.FORBIDDEN)
    wanted = headers.get(TTL_HEADER, "")
    if not wanted.isdigit() or not 1 <= int(wanted) <= LONGEST_SECONDS:
        return Answer(HTTPStatus.BAD_REQUEST)
    return Answer(HTTPStatus.OK, tokens.give(facts.instance_id, int(wanted)), {TTL_HEADER: wanted})


def _entry(facts: Facts, path: str) -> Answer:
    name = path.removeprefix("/latest/").strip("/")
    if name in facts.entries:
        value = facts.entries[name]
        return Answer(HTTPStatus.OK, value if isinstance(value, str) else value())
    folder = f"{name}/" if name else ""
    below = [entry.removeprefix(folder) for entry in facts.entries if entry.startswith(folder)]
    # What has something below it ends in a slash, as the service lists it.
    listed = sorted(
        {
            f"{first}/" if rest else first
            for first, rest in (each.split("/", 1) if "/" in each else (each, "") for each in below)
        }
    )
    return Answer(HTTPStatus.OK, "\n".join(listed)) if below else Answer(HTTPStatus.NOT_FOUND)


def identity_document(values: Mapping[str, object]) -> str:
    """Return an instance's identity document, unsigned."""
    return json.dumps({"version": "2017-09-30", **values}, indent=2)
