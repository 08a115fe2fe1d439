"""The auth service as a process: settings, connections, and uvicorn with one worker."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from fastapi import FastAPI

from app.auth.accounts import PostgresAccounts
from app.auth.passwords import Passwords
from app.auth.routes import create_app
from app.auth.sign_in import SignIn
from app.common import cache, database, web
from app.common import environment as env
from app.common.limits import RateLimits, Rates
from app.common.sessions import Sessions


@dataclass(frozen=True)
class Settings:
    """What the auth service is given by its environment."""

    database_url: str
    redis_url: str

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings, or the first SettingError."""
        return cls(database_url=env.database_url("asyncpg", environment), redis_url=env.redis_url(environment))


def application(settings: Settings, rates: Rates | None = None) -> FastAPI:
    """The app with its real connections. None is opened before it is used: it starts with all of them away."""
    engine = database.engine(settings.database_url)
    kept = cache.Cache(cache.connect(settings.redis_url))
    accounts, sessions = PostgresAccounts(engine), Sessions(engine, kept)
    limits, hashing = RateLimits(settings.redis_url, rates), Passwords()

    @contextlib.asynccontextmanager
    async def connections() -> AsyncIterator[None]:
        try:
            yield
        finally:
            hashing.close()
            await limits.close()
            await kept.close()
            await engine.dispose()

    sign_in = SignIn(accounts, sessions, limits, hashing)
    return create_app(sign_in, sessions, accounts.check, kept.check, connections)


def run(environment: Mapping[str, str]) -> int:
    """Serve until SIGTERM; the exit status."""
    return web.serve(application(Settings.read(environment)), environment)
