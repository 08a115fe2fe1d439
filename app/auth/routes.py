"""The routes of the auth service. What they need comes in from outside, so that a test gives them what it likes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Protocol

from fastapi import Depends, FastAPI, HTTPException, Request, Response, status

from app.auth.passwords import WeakPassword
from app.auth.schemas import Credentials, Me, NewAccount, Readiness, Token
from app.auth.sign_in import SignIn
from app.common import probes, web
from app.common.identity import Identity

SWEEP_SECONDS = 600.0


class Sessions(Protocol):
    """Sessions, as these routes need them: app.common.sessions.Sessions."""

    async def identify(self, token: str) -> Identity | None:
        """The account that a token stands for."""

    async def revoke(self, token: str) -> None:
        """End a session."""

    async def sweep(self) -> int:
        """Delete sessions that are over."""


def create_app(
    sign_in: SignIn,
    sessions: Sessions,
    check_database: Callable[[], Awaitable[None]],
    check_cache: Callable[[], Awaitable[None]],
    connections: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext,
) -> FastAPI:
    """The auth service. `connections` is open for as long as the app runs."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeping = web.for_ever(sessions.sweep, SWEEP_SECONDS)
        async with connections(), web.background(sweeping):
            yield

    app = web.application("Slipway accounts", "Sign-up, sign-in, sign-out.", lifespan)
    app.include_router(probes.health("/health"))
    current = web.current(sessions)

    async def look() -> Readiness:
        found, cache = await asyncio.gather(web.check(check_database()), web.check(check_cache()))
        return Readiness(ready=found.ok, database=found, cache=cache)

    outcome = probes.Kept(look)

    @app.get("/ready", responses={503: {"model": Readiness, "description": "The database is away"}})
    async def ready(response: Response) -> Readiness:
        """Whether the service can do its work: 503 where the database is away. For the host, not for the public."""
        readiness = await outcome.get()
        if not readiness.ready:
            response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return readiness

    @app.post("/sign-up", status_code=status.HTTP_201_CREATED, responses=web.refusals(400, 409, 422, 429))
    async def sign_up(account: NewAccount, request: Request) -> Me:
        """Make an account. It is a user's: nobody becomes an operator over HTTP."""
        try:
            made = await sign_in.sign_up(account.email, account.password.get_secret_value(), host(request))
        except WeakPassword as error:
            raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, str(error)) from error
        if made is None:
            raise HTTPException(status.HTTP_409_CONFLICT, "There is an account with this email address; sign in.")
        return Me(user_id=made.user_id, email=made.email, role=made.role)

    @app.post("/sign-in", responses=web.refusals(400, 401, 422, 429))
    async def begin(credentials: Credentials, request: Request) -> Token:
        """Begin a session of 12 hours."""
        signed = await sign_in.sign_in(credentials.email, credentials.password.get_secret_value(), host(request))
        if signed is None:
            raise HTTPException(
                status.HTTP_401_UNAUTHORIZED,
                "The email address or the password is wrong.",
                {"WWW-Authenticate": "Bearer"},
            )
        identity, session = signed
        request.state.identity = identity
        return Token(token=session.token, expires_at=session.expires_at)

    @app.post("/sign-out", status_code=status.HTTP_204_NO_CONTENT, responses=web.refusals(401))
    async def sign_out(request: Request, _: Annotated[Identity, Depends(current)]) -> None:
        """End this session, at once and everywhere."""
        await sessions.revoke(request.headers["Authorization"].partition(" ")[2].strip())

    @app.get("/me", responses=web.refusals(401))
    async def me(identity: Annotated[Identity, Depends(current)]) -> Me:
        """Whose session this is."""
        return Me(user_id=identity.user_id, email=identity.email, role=identity.role)

    return app


def host(request: Request) -> str | None:
    """The address that the request came from, as the edge saw it."""
    return request.client.host if request.client else None
