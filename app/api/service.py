"""The API as a process: settings, connections, and uvicorn with one worker."""

import contextlib
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import redis.asyncio
import uvicorn
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

from app.api.queue import SqsQueue
from app.api.routes import create_app
from app.api.store import PostgresStore
from app.common import environment as env

PORT = 8000
DATABASE_TIMEOUT_SECONDS = 5
CACHE_TIMEOUT_SECONDS = 2


@dataclass(frozen=True)
class Settings:
    """What the API is given by its environment."""

    database_url: str
    redis_url: str
    queue_url: str
    region: str

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings, or the first SettingError."""
        return cls(
            database_url=env.database_url("asyncpg", environment),
            redis_url=env.address("REDIS_URL", ("redis", "rediss"), "redis://host:6379/0", environment),
            queue_url=env.queue_url(environment),
            region=env.region(environment),
        )


def application(settings: Settings) -> FastAPI:
    """The app with its real connections.

    None is opened before it is used: the API starts with all of them away.
    """
    engine = create_async_engine(
        settings.database_url,
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text is logged; what a panel holds is not
        pool_timeout=DATABASE_TIMEOUT_SECONDS,
        connect_args={"timeout": DATABASE_TIMEOUT_SECONDS, "command_timeout": DATABASE_TIMEOUT_SECONDS},
    )
    cache = redis.asyncio.Redis.from_url(
        settings.redis_url,
        socket_timeout=CACHE_TIMEOUT_SECONDS,
        socket_connect_timeout=CACHE_TIMEOUT_SECONDS,
    )

    async def check_cache() -> None:
        await cache.ping()

    @contextlib.asynccontextmanager
    async def connections() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await cache.aclose()
            await engine.dispose()

    queue = SqsQueue(settings.queue_url, settings.region)
    return create_app(PostgresStore(engine), queue, check_cache, connections)


def run(environment: Mapping[str, str]) -> int:
    """Serve until SIGTERM, then finish what is under way and leave with 0."""
    app = application(Settings.read(environment))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            # The container's own network namespace is the boundary.
            host="0.0.0.0",  # noqa: S104
            port=PORT,
            log_config=None,
            timeout_graceful_shutdown=20,
            server_header=False,
        )
    )
    # uvicorn, once it has shut down, raises the signal again; this makes a clean end an exit status of 0.
    signal.signal(signal.SIGTERM, lambda *_: None)
    server.run()
    return 0 if server.started else 1
