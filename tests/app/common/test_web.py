"""The frame around every HTTP service."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel

from app.common import logs, web
from app.common.identity import Identity
from tests.app.api.fakes import ADA, MemoryTokens, ask


class Body(BaseModel):
    """A body."""

    name: int


@pytest.fixture
def app() -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    app = web.application("Test", "A test's.", lifespan, {"/slow": 0.05, "/patient": 5})

    @app.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(5)

    @app.get("/patient")
    async def patient() -> str:
        await asyncio.sleep(0.1)
        return "done"

    @app.get("/broken")
    async def broken() -> None:
        raise KeyError("Jane Doe")

    @app.post("/bodies/{number}")
    async def bodies(number: int, body: Body) -> Body:
        return body

    @app.get("/who")
    async def who(identity: Annotated[Identity, Depends(web.current(MemoryTokens()))]) -> str:
        return identity.email

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    return app


class Lines(logging.Handler):
    """Keep what is logged, as the lines that would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.JsonFormatter())
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(self.format(record))

    @property
    def last(self) -> dict[str, Any]:
        return dict(json.loads(self.text[-1]))


@pytest.fixture
def lines() -> Any:
    handler, logger = Lines(), logging.getLogger("app")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def test_every_answer_has_a_request_id_and_nothing_is_stored_on_the_way(app: FastAPI) -> None:
    for path in ("/who", "/nowhere", "/broken", "/slow"):
        answer = ask(app, "GET", path)
        assert len(answer.headers["x-request-id"]) == 32
        assert answer.headers["cache-control"] == "no-store"
    ids = {ask(app, "GET", "/who").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("given", "taken"), [("trace-1.a_B", True), ("x" * 65, False), ("a b", False), ("a\tb", False)]
)
def test_a_request_id_from_outside_is_kept_where_it_is_one(app: FastAPI, given: str, taken: bool) -> None:
    answer = ask(app, "GET", "/who", headers={"X-Request-Id": given})
    assert (answer.headers["x-request-id"] == given) is taken


def test_a_request_is_one_line_without_its_path_body_or_token(app: FastAPI, lines: Lines) -> None:
    answer = ask(app, "POST", "/bodies/987654321?name=Jane", "ada", json={"name": "Doe"})
    assert answer.status_code == 422
    (line,) = lines.text
    assert lines.last["message"] == "POST /bodies/{number} 422"
    assert lines.last["request_id"] == answer.headers["x-request-id"]
    assert lines.last["status"] == 422
    assert lines.last["milliseconds"] >= 0
    for private in ("987654321", "Jane", "Doe", "ada"):
        assert private not in line.replace(lines.last["request_id"], "").replace(lines.last["time"], "")


def test_the_line_says_whose_request_it_was_by_id_alone(app: FastAPI, lines: Lines) -> None:
    assert ask(app, "GET", "/who", "ada").json() == ADA.email
    assert lines.last["user_id"] == str(ADA.user_id)
    assert ADA.email not in lines.text[-1]


def test_what_nobody_caught_is_a_500_whose_log_says_where_and_not_what(app: FastAPI, lines: Lines) -> None:
    answer = ask(app, "GET", "/broken")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/json"
    failure = json.loads(lines.text[0])
    assert failure["error"] == "KeyError"
    assert failure["trace"][-1].endswith(" broken")
    assert failure["request_id"] == answer.headers["x-request-id"]
    assert "Jane Doe" not in "".join(lines.text) + answer.text


def test_an_answer_that_takes_too_long_is_a_503_to_be_tried_again(app: FastAPI) -> None:
    answer = ask(app, "GET", "/slow")
    assert answer.status_code == 503
    assert answer.json() == {"detail": "There was no answer within 0.05 s; please try again."}
    assert answer.headers["retry-after"] == "5"
    assert ask(app, "GET", "/patient").json() == "done"


def test_a_body_that_does_not_arrive_is_a_408(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "TIMEOUT_SECONDS", 0.05)

    async def trickle() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)

    answer = ask(app, "POST", "/raw", content=trickle())
    assert answer.status_code == 408
    assert answer.headers["connection"] == "close"


def test_a_body_may_be_as_long_as_the_limit_and_no_longer(app: FastAPI) -> None:
    longest = b"x" * web.MAX_BODY_BYTES
    assert ask(app, "POST", "/raw", content=longest).json() == len(longest)
    for content in (longest + b"x", stream(longest, b"x"), b"x" * (web.DRAINED_BYTES + 1)):
        answer = ask(app, "POST", "/raw", content=content)
        assert answer.status_code == 413
        assert answer.json() == {"detail": "The body is longer than 256 KiB."}


def test_a_client_that_leaves_is_noted_and_not_answered(app: FastAPI, lines: Lines) -> None:
    sent: list[Any] = []

    async def run() -> None:
        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app({"type": "http", "method": "POST", "path": "/raw", "headers": [], "query_string": b""}, receive, send)

    asyncio.run(run())
    assert sent == []
    assert lines.last["status"] == 499


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"\xff\xfe\x00",
        b'{"name": 1',
        b"",
        b"null",
        b'{"name": 1e400}',
        b'{"name": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_body_that_is_no_json_of_ours_is_refused(app: FastAPI, content: bytes) -> None:
    answer = ask(app, "POST", "/bodies/1", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]


def test_what_is_wrong_is_said_in_bounds_and_in_utf_8(app: FastAPI) -> None:
    fields = {f"field-{number}": "Jane Doe" for number in range(1000)}

    class Strict(BaseModel, extra="forbid"):
        """Takes nothing."""

    @app.post("/strict")
    async def strict(body: Strict) -> None: ...

    answer = ask(app, "POST", "/strict", json=fields)
    assert len(answer.json()["detail"]) == web.MAX_PROBLEMS
    assert "Jane Doe" not in answer.text
    answer = ask(app, "POST", "/strict", content=b'{"\\ud800": 1}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_halves_of_pairs_are_no_reason_to_fail() -> None:
    assert web.storable({"loc": ("body", "\ud800", 1)}) == {"loc": ["body", "?", 1]}


def test_work_beside_the_requests_goes_on_after_a_failure_and_ends_with_the_service() -> None:
    times: list[int] = []

    async def work() -> None:
        times.append(len(times))
        raise ConnectionRefusedError

    async def run() -> None:
        async with web.background(web.for_ever(work, 0.01)):
            while len(times) < 3:  # noqa: ASYNC110 - what it waits for knows no events
                await asyncio.sleep(0.01)
        done = len(times)
        await asyncio.sleep(0.05)
        assert len(times) == done

    asyncio.run(asyncio.wait_for(run(), 10))


def test_neighbors_may_say_whom_they_speak_for_and_nobody_else(app: FastAPI) -> None:
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    seen: list[str] = []

    @app.get("/from")
    async def come_from(request: Request) -> None:
        seen.append(request.client.host if request.client else "")

    trusted = ProxyHeadersMiddleware(app, web.config(app, 1, "127.0.0.1", {}).forwarded_allow_ips)  # type: ignore[arg-type]

    async def run(peer: str, said: str) -> None:
        transport = httpx.ASGITransport(trusted, client=(peer, 1))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            await client.get("/from", headers={"X-Forwarded-For": said})

    asyncio.run(run("172.18.0.4", "203.0.113.7"))
    asyncio.run(run("172.18.0.4", "198.51.100.1, 203.0.113.7"))
    asyncio.run(run("203.0.113.9", "198.51.100.1"))
    assert seen == ["203.0.113.7", "203.0.113.7", "203.0.113.9"]
