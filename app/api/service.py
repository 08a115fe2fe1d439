"""The API as a process: settings, connections, and uvicorn with one worker."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from fastapi import FastAPI

from app.api.queue import SqsQueue
from app.api.routes import create_app
from app.api.store import PostgresStore
from app.chat import routes as chat
from app.chat.model import ChatModel
from app.chat.settings import chat_model
from app.chat.store import PostgresStore as PostgresChats
from app.common import cache, database, web
from app.common import environment as env
from app.common.limits import RateLimits
from app.common.sessions import Sessions


@dataclass(frozen=True)
class Settings:
    """What the API is given by its environment."""

    database_url: str
    redis_url: str
    queue_url: str
    region: str
    chat_model: ChatModel

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings, or the first SettingError."""
        return cls(
            database_url=env.database_url("asyncpg", environment),
            redis_url=env.redis_url(environment),
            queue_url=env.queue_url(environment),
            region=env.region(environment),
            chat_model=chat_model(environment),
        )


def application(settings: Settings) -> FastAPI:
    """The app with its real connections. None is opened before it is used: it starts with all of them away."""
    engine = database.engine(settings.database_url)
    kept = cache.Cache(cache.connect(settings.redis_url))
    sessions, limits = Sessions(engine, kept), RateLimits(settings.redis_url)

    @contextlib.asynccontextmanager
    async def connections() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await limits.close()
            await kept.close()
            await engine.dispose()

    talk = chat.router(PostgresChats(engine), settings.chat_model, web.current(sessions), limits)
    return create_app(
        PostgresStore(engine),
        SqsQueue(settings.queue_url, settings.region),
        sessions,
        kept,
        connections,
        routers=(talk,),
        timeouts={"/chat": chat.TIMEOUT_SECONDS},
    )


def run(environment: Mapping[str, str]) -> int:
    """Serve until SIGTERM, then finish what is under way; the exit status."""
    return web.serve(application(Settings.read(environment)), environment)
