"""The routes. What they need comes in from outside, so that a test gives them what it likes."""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal, Protocol, TypedDict
from urllib.parse import urlsplit

from fastapi import FastAPI, Form, Request, Response, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from app.auth.passwords import MOST as MAX_PASSWORD
from app.common import database, probes, web
from app.common.identity import Identity
from app.common.limits import TooMany
from app.common.sessions import NewSession
from app.dashboard import pages
from app.dashboard.cloud import Queue, Releases
from app.dashboard.overview import look
from app.dashboard.records import Records

log = logging.getLogger(__name__)

ROOT = "/dashboard"
COOKIE = "slipway_dashboard"
# By https, browsers keep a cookie of this name only from this host itself, by https, and for all its paths.
SECURE_COOKIE = f"__Host-{COOKIE}"
MAX_EMAIL = 254

WRONG = "There is no account with this email and password."
NOT_OPERATOR = "The dashboard is for operators; this account is none. Who is one is decided on the host itself."
ELSEWHERE = "This form was sent from another site, so nothing was done. Please use the form on this one."
AWAY = "The database cannot be reached at the moment. This page tries again by itself."


class SignsIn(Protocol):
    """Checks passwords: app.auth.sign_in.SignIn."""

    async def sign_in(self, email: str, password: str, host: str | None) -> tuple[Identity, NewSession] | None:
        """Begin a session; None for a wrong email or password. TooMany."""


class Sessions(Protocol):
    """Sessions, as these routes need them: app.common.sessions.Sessions."""

    async def identify(self, token: str) -> Identity | None:
        """The account that a token stands for."""

    async def revoke(self, token: str) -> None:
        """End a session."""


def create_app(
    sign_in: SignsIn,
    sessions: Sessions,
    records: Records,
    queue: Queue,
    releases: Releases,
    check_cache: Callable[[], Awaitable[None]],
    connections: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext,
) -> FastAPI:
    """The dashboard. `connections` is open for as long as the app runs."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with connections():
            yield

    app = web.application("Slipway dashboard", "Pages for operators, not an interface for programs.", lifespan)
    speak_html(app)
    # The image's HEALTHCHECK asks the first, the edge passes the second on.
    app.include_router(probes.health("/health", f"{ROOT}/health", in_schema=False))

    outcome = probes.Kept(lambda: web.check(records.check()))

    @app.get("/ready", include_in_schema=False)
    async def ready(response: Response) -> dict[str, web.Check]:
        """Whether the dashboard can do its work, which needs the database alone."""
        found = await outcome.get()
        if not found.ok:
            response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return {"database": found}

    @app.get(f"{ROOT}/dashboard.css", include_in_schema=False)
    async def style_sheet() -> Response:
        return pages.kept(pages.STYLE_SHEET, "text/css")

    @app.get(f"{ROOT}/icon.svg", include_in_schema=False)
    async def icon() -> Response:
        return pages.kept(pages.ICON, "image/svg+xml")

    @app.get(ROOT, include_in_schema=False)
    @app.get(f"{ROOT}/", include_in_schema=False)
    async def show(request: Request) -> Response:
        """The page, for operators."""
        identity = await who(request)
        if identity is None:
            return to(f"{ROOT}/sign-in")
        if not identity.is_operator:
            return pages.notice(403, "Operators only", NOT_OPERATOR, email=identity.email)
        return pages.overview(await look(records, queue, releases, check_cache), identity.email)

    @app.get(f"{ROOT}/sign-in", include_in_schema=False)
    async def form(request: Request) -> Response:
        """The form; whoever is signed in needs none."""
        return to(ROOT) if await who(request) else pages.sign_in()

    @app.post(f"{ROOT}/sign-in", include_in_schema=False)
    async def enter(
        request: Request, email: Annotated[str, Form()] = "", password: Annotated[str, Form()] = ""
    ) -> Response:
        """Check the password, by the code of the auth service, and keep the session in a cookie."""
        if not sent_from_here(request):
            return pages.notice(403, "Not from here", ELSEWHERE)
        email = email.strip()
        # What can be nobody's is not looked up: a NUL is no text to PostgreSQL, half a character none to UTF-8.
        if not 0 < len(email) <= MAX_EMAIL or not email.isprintable() or not 0 < len(password) <= MAX_PASSWORD:
            return pages.sign_in(401, WRONG, email[:MAX_EMAIL] if email.isprintable() else "")
        try:
            found = await sign_in.sign_in(email, storable(password), request.client.host if request.client else None)
        except TooMany as error:
            return pages.sign_in(429, str(error), email, error.seconds)
        if found is None:
            return pages.sign_in(401, WRONG, email)
        identity, session = found
        request.state.identity = identity
        if not identity.is_operator:
            await sessions.revoke(session.token)
            return pages.notice(403, "Operators only", NOT_OPERATOR)
        answer = to(ROOT)
        answer.set_cookie(
            value=session.token,
            max_age=int((session.expires_at - datetime.now(UTC)).total_seconds()),
            **cookie(request),
        )
        return answer

    @app.post(f"{ROOT}/sign-out", include_in_schema=False)
    async def leave(request: Request) -> Response:
        """End the session, here and everywhere that its token went."""
        if not sent_from_here(request):
            return pages.notice(403, "Not from here", ELSEWHERE)
        if token := request.cookies.get(cookie(request)["key"]):
            await sessions.revoke(token)
        answer = to(f"{ROOT}/sign-in")
        answer.delete_cookie(**cookie(request))
        return answer

    async def who(request: Request) -> Identity | None:
        token = request.cookies.get(cookie(request)["key"])
        identity = await sessions.identify(token) if token else None
        request.state.identity = identity
        return identity

    return app


def speak_html(app: FastAPI) -> None:
    """Refusals as pages: whoever reads them has a browser."""

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        phrase = HTTPStatus(error.status_code).phrase
        sentence = "There is no such page." if error.status_code == status.HTTP_404_NOT_FOUND else f"{phrase}."
        return pages.notice(error.status_code, phrase, sentence)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return pages.notice(422, "Not understood", "The form was not filled in as this page does it.")

    async def failed(_: Request, error: Exception) -> Response:
        if database.is_away(error):
            log.error("the database cannot be reached", extra={"reason": database.brief(error)})
            return pages.notice(503, "The database is away", AWAY, again=True)
        log.error("the database refused", extra=web.trace(error))
        return pages.notice(500, "A mistake of ours", "Something went wrong; the log says what.")

    for failure in database.FAILURES:
        app.add_exception_handler(failure, failed)


def sent_from_here(request: Request) -> bool:
    """Whether a form was sent by a page of this origin.

    Browsers say so by themselves, and no other site can make them say otherwise: Sec-Fetch-Site, which needs https or
    localhost, or Origin. The cookie's SameSite=Strict is the second lock; this one guards the sign-in form too.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(request.headers.get("origin", "")).netloc
    return bool(origin) and origin == request.headers.get("host")


class Cookie(TypedDict):
    """How the session's cookie is set and deleted, as Starlette takes it."""

    key: str
    path: str
    secure: bool
    httponly: bool
    samesite: Literal["strict"]


def cookie(request: Request) -> Cookie:
    """Return the name and the properties of the session's cookie."""
    secure = is_https(request)
    return {
        "key": SECURE_COOKIE if secure else COOKIE,
        "path": "/" if secure else ROOT,
        "secure": secure,
        "httponly": True,
        "samesite": "strict",
    }


def is_https(request: Request) -> bool:
    """Whether the browser speaks https with the edge, so that the cookie may insist on it."""
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "") == "https"


def storable(text: str) -> str:
    """The same with halves of surrogate pairs replaced, which no password has."""
    return text.encode("utf-8", "replace").decode()


def to(path: str) -> RedirectResponse:
    """303: go on there with GET."""
    return RedirectResponse(path, status.HTTP_303_SEE_OTHER, pages.HEADERS)
