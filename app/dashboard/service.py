"""The dashboard as a process: settings, connections, and uvicorn with one worker."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from fastapi import FastAPI

from app.auth.accounts import PostgresAccounts
from app.auth.passwords import Passwords
from app.auth.sign_in import SignIn
from app.common import cache, database, web
from app.common import environment as env
from app.common.limits import RateLimits
from app.common.sessions import Sessions
from app.dashboard.cloud import SqsQueue, SsmReleases
from app.dashboard.records import PostgresRecords
from app.dashboard.routes import create_app


@dataclass(frozen=True)
class Settings:
    """What the dashboard is given by its environment."""

    database_url: str
    redis_url: str
    queue_url: str
    region: str
    verified_parameter: str | None
    """Name of the SSM parameter with the release that was verified; None if there is none to show."""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings, or the first SettingError."""
        return cls(
            database_url=env.database_url("asyncpg", environment),
            redis_url=env.redis_url(environment),
            queue_url=env.queue_url(environment),
            region=env.region(environment),
            verified_parameter=environment.get("VERIFIED_PARAMETER", "").strip() or None,
        )


def application(settings: Settings) -> FastAPI:
    """The app with its real connections. None is opened before it is used: it starts with all of them away."""
    engine = database.engine(settings.database_url)
    kept = cache.Cache(cache.connect(settings.redis_url))
    sessions = Sessions(engine, kept)
    limits, hashing = RateLimits(settings.redis_url), Passwords()

    @contextlib.asynccontextmanager
    async def connections() -> AsyncIterator[None]:
        try:
            yield
        finally:
            hashing.close()
            await limits.close()
            await kept.close()
            await engine.dispose()

    return create_app(
        SignIn(PostgresAccounts(engine), sessions, limits, hashing),
        sessions,
        PostgresRecords(engine),
        SqsQueue(settings.queue_url, settings.region),
        SsmReleases(settings.verified_parameter, settings.region),
        kept.check,
        connections,
    )


def run(environment: Mapping[str, str]) -> int:
    """Serve until SIGTERM, then finish what is under way; the exit status."""
    return web.serve(application(Settings.read(environment)), environment)
