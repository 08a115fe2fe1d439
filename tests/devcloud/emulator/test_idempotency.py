"""A call that is sent again: answered as before where it was done, tried anew where it was not."""

import threading
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest

from devcloud.emulator import idempotency


class Counting:
    """An application that says how often it was asked; `status` is what it answers with."""

    def __init__(self, status: str = "200 OK") -> None:
        self.asked = 0
        self.status = status

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer."""
        self.asked += 1
        start_response(self.status, [("Asked", str(self.asked))])
        return [f"answer {self.asked}".encode()]


def send(application: WSGIApplication, call: str, number: int = 1) -> tuple[str, list[tuple[str, str]], bytes]:
    """Send an attempt of a call; status, headers and body of the answer."""
    said: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        said.append((status, headers))

    request = {"HTTP_AMZ_SDK_INVOCATION_ID": call, "HTTP_AMZ_SDK_REQUEST": f"attempt={number}; max=25"}
    body = application(request if call else {}, start)
    return (*said[-1], b"".join(body))


def test_a_call_that_was_done_gets_its_answer_again() -> None:
    application = Counting()
    served = idempotency.Retries(application)
    assert send(served, "a") == send(served, "a", 2) == ("200 OK", [("Asked", "1")], b"answer 1")
    assert application.asked == 1


def test_another_call_is_asked_for_itself() -> None:
    served = idempotency.Retries(Counting())
    assert send(served, "a")[2] != send(served, "b")[2]


@pytest.mark.parametrize("status", ["400 Bad Request", "503 Service Unavailable"])
def test_a_call_that_failed_is_tried_anew(status: str) -> None:
    application = Counting(status)
    served = idempotency.Retries(application)
    assert send(served, "a")[0] == status
    application.status = "200 OK"
    assert send(served, "a", 2)[0] == "200 OK"


def test_an_answer_that_broke_off_is_none() -> None:
    def breaks(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"half"
        raise RuntimeError

    application = Counting()
    served = idempotency.Retries(breaks)
    with pytest.raises(RuntimeError):
        send(served, "a")
    served.application = application
    assert send(served, "a", 2)[2] == b"answer 1"


def test_without_an_id_every_request_is_a_call() -> None:
    served = idempotency.Retries(Counting())
    assert [send(served, "")[2], send(served, "")[2]] == [b"answer 1", b"answer 2"]


def test_an_attempt_waits_for_the_one_before_it() -> None:
    go_on = threading.Event()
    counted = Counting()

    def slow(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        go_on.wait(10)
        return counted(environ, start_response)

    served = idempotency.Retries(slow)
    answers: list[bytes] = []
    attempts = [threading.Thread(target=lambda: answers.append(send(served, "a")[2])) for _ in range(2)]
    for each in attempts:
        each.start()
    go_on.set()
    for each in attempts:
        each.join()
    assert answers == [b"answer 1", b"answer 1"]
    assert counted.asked == 1


def test_only_the_last_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "KEPT", 2)
    served = idempotency.Retries(Counting())
    first = send(served, "a")
    for other in ("b", "c"):
        send(served, other)
    assert send(served, "a") != first


@pytest.mark.parametrize(
    ("header", "number"),
    [("attempt=1; max=3", 1), ("attempt=2; max=25", 2), ("ttl=x; attempt=3", 3), ("", 1), ("?", 1)],
)
def test_the_number_of_an_attempt_is_what_the_sdk_says(header: str, number: int) -> None:
    assert idempotency.attempt({"HTTP_AMZ_SDK_REQUEST": header}) == number
