"""Sessions, over a real PostgreSQL and Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.common import cache
from app.common import database as databases
from app.common.cache import Cache
from app.common.identity import Identity
from app.common.sessions import CACHED_SECONDS, REVOKED, Sessions, cache_key, digest, written
from app.common.tables import sessions as table
from app.common.tables import users
from tests.app import servers

pytestmark = pytest.mark.services

ADA = Identity(uuid4(), "ada@lab.example", "user")


@dataclass
class Kit:
    """Sessions with what they stand on."""

    engine: AsyncEngine
    cache: Cache
    sessions: Sessions

    async def execute(self, statement: str) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(statement))


def run(url: str, redis_url: str, work: Callable[[Kit], Awaitable[None]]) -> None:
    async def inside() -> None:
        engine = databases.engine(url.replace("postgresql:", "postgresql+asyncpg:"))
        kept = Cache(cache.connect(redis_url))
        try:
            async with engine.begin() as connection:
                await connection.execute(
                    insert(users).values(id=ADA.user_id, email=ADA.email, password_hash="none", role=ADA.role)
                )
            await work(Kit(engine, kept, Sessions(engine, kept)))
        finally:
            await kept.close()
            await engine.dispose()

    asyncio.run(inside())


def test_a_token_stands_for_its_account_until_it_is_revoked(database: str, redis: servers.Redis) -> None:
    async def work(kit: Kit) -> None:
        session = await kit.sessions.open(ADA.user_id)
        for _ in range(2):  # from the database, then from the cache
            assert await kit.sessions.identify(session.token) == ADA
        await kit.sessions.revoke(session.token)
        assert await kit.sessions.identify(session.token) is None

    run(database, redis.url, work)


def test_the_token_itself_is_kept_nowhere(database: str, redis: servers.Redis) -> None:
    async def work(kit: Kit) -> None:
        session = await kit.sessions.open(ADA.user_id)
        await kit.sessions.identify(session.token)
        async with kit.engine.connect() as connection:
            (row,) = (await connection.execute(select(table))).all()
        assert row.token_sha256 == digest(session.token)
        assert session.token not in str(row)
        assert session.token not in cache_key(session.token)

    run(database, redis.url, work)


@pytest.mark.parametrize("token", ["", "x", "\x00" * 43, "ä" * 43, "A" * 43, "A" * 42 + "\n", "A" * 100_000])
def test_what_is_no_token_stands_for_nobody(database: str, redis: servers.Redis, token: str) -> None:
    async def work(kit: Kit) -> None:
        assert await kit.sessions.identify(token) is None

    run(database, redis.url, work)


def test_an_expired_session_is_none_and_is_not_kept_beyond_its_end(database: str, redis: servers.Redis) -> None:
    async def work(kit: Kit) -> None:
        session = await kit.sessions.open(ADA.user_id)
        await kit.execute("UPDATE sessions SET expires_at = now() + interval '29 seconds'")  # CACHED_SECONDS is 30
        assert await kit.sessions.identify(session.token) == ADA
        assert await kit.cache.get(cache_key(session.token)) is None
        await kit.execute("UPDATE sessions SET expires_at = now()")
        assert await kit.sessions.identify(session.token) is None

    run(database, redis.url, work)


def test_a_request_that_began_before_a_sign_out_does_not_bring_the_session_back(
    database: str, redis: servers.Redis
) -> None:
    async def work(kit: Kit) -> None:
        session = await kit.sessions.open(ADA.user_id)
        await kit.sessions.revoke(session.token)
        # What `identify` does last, when the sign-out came in between.
        await kit.cache.put(cache_key(session.token), written(ADA), CACHED_SECONDS, replace=False)
        assert await kit.cache.get(cache_key(session.token)) == REVOKED
        assert await kit.sessions.identify(session.token) is None

    run(database, redis.url, work)


def test_without_redis_sessions_are_looked_up_and_revoked_all_the_same(database: str) -> None:
    async def work(kit: Kit) -> None:
        session = await kit.sessions.open(ADA.user_id)
        assert await kit.sessions.identify(session.token) == ADA
        await kit.sessions.revoke(session.token)
        assert await kit.sessions.identify(session.token) is None

    run(database, f"redis://127.0.0.1:{servers.free_port()}/0", work)


def test_sessions_that_are_over_are_swept_away(database: str, redis: servers.Redis) -> None:
    async def work(kit: Kit) -> None:
        lives, expired, revoked = [await kit.sessions.open(ADA.user_id) for _ in range(3)]
        async with kit.engine.begin() as connection:
            await connection.execute(
                table.update().where(table.c.token_sha256 == digest(expired.token)).values(expires_at=text("now()"))
            )
        await kit.sessions.revoke(revoked.token)
        assert await kit.sessions.sweep() == 2
        assert await kit.sessions.sweep() == 0
        assert await kit.sessions.identify(lives.token) == ADA

    run(database, redis.url, work)


def test_an_entry_that_another_release_wrote_in_its_own_way_is_no_answer(database: str, redis: servers.Redis) -> None:
    async def work(kit: Kit) -> None:
        session = await kit.sessions.open(ADA.user_id)
        key = cache_key(session.token)
        for foreign in (b'["a", "b", "c", "d"]', b'{"version": 2}', b"[1, 2, 3]", b"7", b"not JSON", b"\xff"):
            await kit.cache.put(key, foreign, CACHED_SECONDS)
            assert await kit.sessions.identify(session.token) == ADA
        await kit.sessions.revoke(session.token)
        assert await kit.sessions.identify(session.token) is None

    run(database, redis.url, work)
