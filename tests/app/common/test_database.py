"""The pool, and what a migration does to statements that connections have prepared."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.common import database as engines
from app.common.tables import chats, users
from tests.app import servers

pytestmark = pytest.mark.services

WIDEN = "ALTER TABLE users ALTER COLUMN email TYPE varchar(300)"


def with_engine(url: str, work: Callable[[AsyncEngine], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        engine = engines.engine(url.replace("postgresql:", "postgresql+asyncpg:"))
        try:
            await work(engine)
        finally:
            await engine.dispose()

    asyncio.run(run())


def test_a_read_survives_a_migration_that_widens_a_column(database: str, postgres: servers.Postgres) -> None:
    async def work(engine: AsyncEngine) -> None:
        reading = engines.reading(engine)

        async def read() -> None:
            async with reading.connect() as connection:
                assert (await connection.execute(select(users))).all() == []

        # Two connections that know the statement.
        async with reading.connect() as other:
            await other.execute(select(users))
            await read()
        await postgres.execute(WIDEN, database.rpartition("/")[2])
        await asyncio.gather(read(), read())

    with_engine(database, work)


def test_in_a_transaction_such_a_statement_is_to_be_tried_again_later(
    database: str, postgres: servers.Postgres
) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            await connection.execute(select(users))
        await postgres.execute(WIDEN, database.rpartition("/")[2])
        async with engine.connect() as connection:
            with pytest.raises(DBAPIError) as caught:
                await connection.execute(select(users))
        assert engines.is_away(caught.value)
        async with engine.connect() as connection:
            await connection.execute(select(users))

    with_engine(database, work)


def test_other_errors_are_not_tried_again(database: str) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with engines.reading(engine).connect() as connection:
            with pytest.raises(DBAPIError, match="division by zero") as caught:
                await connection.execute(text("SELECT 1 / 0"))
        assert not engines.is_away(caught.value)
        async with engine.begin() as connection:
            with pytest.raises(DBAPIError, match="null value"):
                await connection.execute(insert(chats).values(id=uuid4(), owner_id=None))

    with_engine(database, work)


def test_a_service_takes_no_more_connections_than_the_host_planned_for(
    database: str, postgres: servers.Postgres
) -> None:
    name = database.rpartition("/")[2]

    async def work(engine: AsyncEngine) -> None:
        async def ask() -> None:
            async with engines.reading(engine).connect() as connection:
                await connection.execute(text("SELECT pg_sleep(0.1)"))

        async def count() -> int:
            statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
            return int((await postgres.execute(statement, name, name))[0][0])

        asked = asyncio.gather(*(ask() for _ in range(30)))
        most = 0
        while not asked.done():
            most = max(most, await count())
            await asyncio.sleep(0.02)
        assert most == 5
        await asked
        assert await count() == 3

    with_engine(database, work)
