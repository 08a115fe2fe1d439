"""What every HTTP service shares: request ids, one log line a request, limits on time and size, and refusals.

`application` makes the app, `current` the dependency that says who is asking, `serve` runs it.
"""

import asyncio
import contextlib
import logging
import os
import re
import signal
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Security, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from app.common import database, logs
from app.common import environment as env
from app.common.identity import Identifies, Identity
from app.common.limits import TooMany

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
"""How long a request may take, from its first byte to its answer."""
MAX_BODY_BYTES = 256 * 1024
"""How long a request's body may be."""
RETRY_AFTER_SECONDS = 5
CHECK_TIMEOUT_SECONDS = 4.0
LONGEST_REQUEST_SECONDS = 65
"""How long any request may take, and so how long a stop waits: product.yaml tells it to the edge and the host too."""
KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open. Longer than the edge keeps it: if we closed first, a POST that the edge is
sending at that moment would be lost (https://github.com/caddyserver/caddy/issues/6452)."""
# What is left of a body that is refused is read and dropped up to here: a client that is cut off while it sends sees
# a broken connection in place of the refusal.
DRAINED_BYTES = 4 * 1024 * 1024
MAX_PROBLEMS = 20
TRACED_FRAMES = 12
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# The addresses that only neighbors have: what they say in X-Forwarded-For is the edge's word. uvicorn takes the last
# address in it that is none of these. FORWARDED_ALLOW_IPS, uvicorn's own variable, changes the list.
NEIGHBORS = "127.0.0.1,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
# They are asked for every few seconds, and say nothing as long as all is well.
PROBES = ("/health", "/ready", "/dashboard/health")


class Refusal(BaseModel):
    """Why a request is refused, in one sentence."""

    model_config = ConfigDict(json_schema_extra={"example": {"detail": "There is no such panel."}})

    detail: str


class Problem(BaseModel):
    """One thing that is wrong with a request: where, and what. Not what was sent: it may be a patient's."""

    loc: list[str | int]
    msg: str
    type: str


class Invalid(BaseModel):
    """What is wrong with a request: a sentence, or the fields."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"detail": [{"loc": ["body", "tests"], "msg": "Field required", "type": "missing"}]}
        }
    )

    detail: str | list[Problem]


class Check(BaseModel):
    """Whether one thing that a service needs can be reached, and why not."""

    ok: bool
    reason: str | None = None


DESCRIPTIONS = {
    400: "The body cannot be read",
    401: "No token, or one that is unknown, expired or revoked",
    403: "Not for this account",
    404: "There is none, or it is another account's",
    408: "The body did not arrive in time",
    409: "It is taken",
    413: f"The body is longer than {MAX_BODY_BYTES // 1024} KiB",
    422: "The request is not as described here",
    429: "Too many tries; `Retry-After` says how many seconds to wait",
    503: "The database is away, or the answer took too long; `Retry-After` says when to try again",
}


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The description of refusals for a route's `responses`."""
    return {code: {"model": Invalid if code == 422 else Refusal, "description": DESCRIPTIONS[code]} for code in codes}


def application(
    title: str,
    description: str,
    lifespan: Lifespan[FastAPI],
    timeouts: Mapping[str, float] | None = None,
) -> FastAPI:
    """An app with all that this module is about.

    `timeouts` gives other seconds than TIMEOUT_SECONDS to the paths that begin with a key.
    """
    app = FastAPI(
        title=title,
        version="1",
        description=description,
        lifespan=lifespan,
        responses=refusals(408, 413, 503),
    )
    app.add_middleware(Frame, timeouts=timeouts or {})
    app.add_exception_handler(RequestValidationError, invalid)
    for failure in database.FAILURES:
        app.add_exception_handler(failure, database_failed)

    @app.exception_handler(TooMany)
    async def too_many(_: Request, error: TooMany) -> JSONResponse:
        return refused(status.HTTP_429_TOO_MANY_REQUESTS, str(error), {"Retry-After": str(error.seconds)})

    return app


def current(identifies: Identifies) -> Callable[..., Awaitable[Identity]]:
    """A FastAPI dependency that gives the Identity of the Bearer token; 401 without a valid one.

    The answer is on `request.state.identity` too, which is how the log line knows whose request it was.
    """
    scheme = HTTPBearer(auto_error=False, description="The token that POST /auth/sign-in gave.")

    async def identity(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(scheme)]
    ) -> Identity:
        found = await identifies.identify(credentials.credentials) if credentials else None
        if found is None:
            raise HTTPException(
                status.HTTP_401_UNAUTHORIZED,
                "Sign in first: this needs a token that is neither expired nor revoked.",
                {"WWW-Authenticate": "Bearer"},
            )
        request.state.identity = found
        return found

    return identity


async def invalid(_: Request, error: Exception) -> JSONResponse:
    """422 for a request that is not as described: without the input, which FastAPI's own handler repeats."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - for mypy: handlers are registered by class
    detail = [{key: found[key] for key in ("loc", "msg", "type")} for found in error.errors()[:MAX_PROBLEMS]]
    return JSONResponse({"detail": storable(detail)}, status.HTTP_422_UNPROCESSABLE_CONTENT)


def storable(value: Any) -> Any:
    """The same with halves of surrogate pairs replaced, which JSON can spell and UTF-8 cannot: a field's name may hold
    them, and names are in what is wrong with a request."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()[:200]
    if isinstance(value, dict):
        return {key: storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    return value


async def database_failed(request: Request, error: Exception) -> JSONResponse:
    """503 with a reason where the database is away; 500 where it is us."""
    if database.is_away(error):
        log.error("the database cannot be reached", extra={"reason": database.brief(error)})
        return unavailable("The database cannot be reached at the moment; please try again.")
    log.error("the database refused", extra=trace(error))
    return broken()


def refused(code: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer of {"detail": ...}."""
    return JSONResponse({"detail": detail}, code, headers)


def unavailable(detail: str) -> JSONResponse:
    """503, to be tried again."""
    return refused(status.HTTP_503_SERVICE_UNAVAILABLE, detail, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def broken() -> JSONResponse:
    """500: a mistake of ours, which the log tells more about."""
    detail = "Something went wrong on our side; the X-Request-Id of this answer finds it in our log."
    return refused(status.HTTP_500_INTERNAL_SERVER_ERROR, detail)


def trace(error: BaseException) -> dict[str, object]:
    """An error for the log: its kind and where it came from. Not its text, which may quote a patient's data."""
    frames = traceback.extract_tb(error.__traceback__)[-TRACED_FRAMES:]
    return {
        "error": type(error).__name__,
        "cause": type(error.__cause__).__name__ if error.__cause__ else None,
        "trace": [f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno} {frame.name}" for frame in frames],
    }


async def check(answer: Awaitable[None]) -> Check:
    """The outcome of one check for /ready. Whatever goes wrong in it is a reason, not a failure of /ready."""
    try:
        await asyncio.wait_for(answer, CHECK_TIMEOUT_SECONDS)
    except TimeoutError:
        return Check(ok=False, reason=f"no answer within {CHECK_TIMEOUT_SECONDS:g} s")
    except Exception as error:  # noqa: BLE001 - a check reports whatever is wrong
        return Check(ok=False, reason=database.brief(error))
    return Check(ok=True)


class TooLarge(Exception):  # noqa: N818 - not an error of ours
    """A request's body is longer than MAX_BODY_BYTES."""


class Gone(Exception):  # noqa: N818 - not an error of ours
    """The client left before its request was complete."""


class Frame:
    """ASGI middleware around all else: id, log line, time, size, and an answer to what nobody caught.

    The body is read here, whole: then a slow or long one is refused in one place, whatever the route does with it.
    """

    def __init__(self, app: ASGIApp, timeouts: Mapping[str, float]) -> None:
        self._app = app
        self._timeouts = timeouts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if REQUEST_ID.fullmatch(asked) else uuid.uuid4().hex
        scope["state"] = dict(scope.get("state") or {})
        answered = 0

        async def answer(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        started = time.perf_counter()
        context = logs.request_id.set(request_id)
        try:
            refusal = await self._within_limits(scope, receive, answer)
            if refusal is not None and not answered:
                await refusal(scope, receive, answer)
        except Gone:
            answered = answered or 499
        finally:
            write_line(scope, answered, time.perf_counter() - started)
            logs.request_id.reset(context)

    async def _within_limits(self, scope: Scope, receive: Receive, answer: Send) -> JSONResponse | None:
        """Let the app answer; what to answer in its place where it does not."""
        seconds = next(
            (self._timeouts[key] for key in self._timeouts if scope["path"].startswith(key)), TIMEOUT_SECONDS
        )
        complete = False
        try:
            async with asyncio.timeout(seconds) as limit:
                body = await read_body(scope, receive)
                complete = True
                await self._app(scope, replay(body, receive), answer)
        except TooLarge:
            detail = f"The body is longer than {MAX_BODY_BYTES // 1024} KiB."
            return refused(status.HTTP_413_CONTENT_TOO_LARGE, detail, {"Connection": "close"})
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001 - the last one to catch anything
            if isinstance(error, TimeoutError) and limit.expired():
                if not complete:
                    detail = f"The body did not arrive within {seconds:g} s."
                    return refused(status.HTTP_408_REQUEST_TIMEOUT, detail, {"Connection": "close"})
                log.error("no answer in time", extra={"seconds": seconds})
                return unavailable(f"There was no answer within {seconds:g} s; please try again.")
            log.error("nobody caught this", extra=trace(error))
            return broken()
        return None


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body; TooLarge, or Gone where the client left."""
    headers = Headers(scope=scope)
    length = headers.get("content-length", "")
    # A client that asks before it sends is told at once.
    if length.isdecimal() and int(length[:20]) > (MAX_BODY_BYTES if "expect" in headers else DRAINED_BYTES):
        raise TooLarge
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        size += len(message.get("body", b""))
        if size > DRAINED_BYTES:
            raise TooLarge
        if size <= MAX_BODY_BYTES:
            chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    if size > MAX_BODY_BYTES:
        raise TooLarge
    return b"".join(chunks)


def replay(body: bytes, receive: Receive) -> Receive:
    """`receive` for the app: the body that was read already, then whatever comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def write_line(scope: Scope, code: int, seconds: float) -> None:
    """One line for a request: its route (not its path, which a client may write anything into), outcome and time."""
    path = getattr(scope.get("route"), "path", None) or "no route"
    level = logging.DEBUG if path in PROBES and code < status.HTTP_400_BAD_REQUEST else logging.INFO
    if not log.isEnabledFor(level):
        return
    identity = scope["state"].get("identity")
    log.log(
        level,
        "%s %s %d",
        scope["method"] if re.fullmatch(r"[A-Z]{1,10}", scope["method"]) else "?",
        path,
        code,
        extra={
            "status": code,
            "milliseconds": round(seconds * 1000, 1),
            "user_id": identity and identity.user_id,
        },
    )


def config(app: FastAPI, port: int, host: str, environment: Mapping[str, str] = os.environ) -> uvicorn.Config:
    """How uvicorn runs an app of ours."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=LONGEST_REQUEST_SECONDS,
        server_header=False,
        forwarded_allow_ips=environment.get("FORWARDED_ALLOW_IPS", "").strip() or NEIGHBORS,
    )


def serve(app: FastAPI, environment: Mapping[str, str] = os.environ) -> int:
    """Serve until SIGTERM, finish what is under way, and give the exit status: 0 after a clean end."""
    # The container's own network namespace is the boundary. HOST narrows it where there is none (`make dev`, tests).
    host = environment.get("HOST", "").strip() or "0.0.0.0"  # noqa: S104
    server = uvicorn.Server(config(app, env.port(environment), host, environment))

    def stop(*_: object) -> None:
        server.should_exit = True

    # A SIGTERM before uvicorn takes over stops it too. Once it has shut down, uvicorn raises the signal again: that
    # comes here as well, so that a clean end is an exit status of 0.
    signal.signal(signal.SIGTERM, stop)
    server.run()
    return 0 if server.started else 1


async def for_ever(work: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Do `work` every `seconds` until cancelled. What fails is logged, and tried again the next time."""
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever is wrong now, the next time is another one
            away = database.is_away(error)
            log.warning("trying again later", extra={"reason": database.brief(error)} if away else trace(error))
        await asyncio.sleep(seconds)


@contextlib.asynccontextmanager
async def background(*work: Awaitable[None]) -> Any:
    """Run coroutines beside the requests, for as long as the block lasts."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
