"""A call that is sent again gets the answer that its first attempt had, where that one was done.

An SDK sends a call anew when the connection breaks before the answer is read. Without this, a resource that the lost
answer was about is created a second time, or refused as one that exists, in this run and in each that follows. The
server closes every connection after its answer, which is when Go's client may lose one
(https://github.com/aws/aws-sdk-go-v2/issues/2737).
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

KEPT = 1000
"""Answers that are kept, the last ones: an SDK tries again within seconds. Those of AWS are a few kB each."""


@dataclass
class Answer:
    """The answer to a call; `status` is empty until there is one."""

    status: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def done(self) -> bool:
        """Whether the call did what it was to do: one that failed is tried anew."""
        return self.status.startswith("2")


def attempt(environ: WSGIEnvironment) -> int:
    """Which attempt of its call a request is, 1 being the first (`amz-sdk-request: attempt=2; max=25`)."""
    parts = environ.get("HTTP_AMZ_SDK_REQUEST", "").split(";")
    said = dict(part.strip().partition("=")[::2] for part in parts).get("attempt", "")
    return int(said) if said.isdigit() else 1


class Retries:
    """The application, asked once for each call that succeeds, however often an SDK sends it."""

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        call = environ.get("HTTP_AMZ_SDK_INVOCATION_ID")
        if not call:
            return self.application(environ, start_response)
        answer = self._answer(call)
        with answer.lock:  # an attempt that comes while the one before is at work waits for it
            if not answer.done:
                self._ask(environ, answer)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _answer(self, call: str) -> Answer:
        with self._lock:
            answer = self._answers.setdefault(call, Answer())
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)
            return answer

    def _ask(self, environ: WSGIEnvironment, answer: Answer) -> None:
        said: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            said.append((status, headers))

        body = self.application(environ, start)
        try:
            answer.body = b"".join(body)
        finally:
            if close := getattr(body, "close", None):
                close()
        # Only now: what fails while it is read was no answer.
        answer.status, answer.headers = said[-1]
