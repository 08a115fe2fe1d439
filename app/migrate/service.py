"""`SERVICE_TYPE=migrate`: bring the database to the schema that this image needs, then leave.

Safe to run twice and from two places at once: the second waits for the first and finds nothing to do.
"""

import asyncio
import logging
import signal
from collections.abc import Mapping
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from app.common.database import FAILURES, brief
from app.common.environment import database_url

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
# Any number, as long as nothing else in this database takes the same advisory lock.
LOCK = 7_266_001
CONNECT_TIMEOUT_SECONDS = 10
LOCK_TIMEOUT_SECONDS = 1
"""While a step waits for a table, all queries of that table wait behind it: no longer than a request can bear."""
PAUSE_SECONDS = 2.0
"""Pause before a step is tried again, in which the queries that waited are answered."""
PATIENCE_SECONDS = 75.0
"""How long steps are tried again, and how long another migration is waited for."""
STATEMENT_TIMEOUT_SECONDS = 75
LIMIT_SECONDS = 110.0
"""For all of it, a database that has gone silent included: the host gives a service that runs once 120 s."""
# lock_not_available and deadlock_detected: the step was rolled back, and may be tried again.
IN_USE_STATES = ("55P03", "40P01")


class InUseError(Exception):
    """The database was in use for too long; the message says by what."""


MIGRATION_FAILURES: tuple[type[Exception], ...] = (*FAILURES, InUseError)


def upgrade(connection: Connection) -> None:
    """Run the steps that are missing, each in a transaction of its own."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    before = revision(connection)
    if before is not None and before not in {script.revision for script in scripts.walk_revisions()}:
        # An older image, at a rollback. Migrations are additive, so that it can work with the newer schema.
        log.warning(
            "the schema is newer than this image: nothing to migrate",
            extra={"schema": before, "image": scripts.get_current_head()},
        )
        return
    command.upgrade(config, "head")
    log.info("the database is migrated", extra={"before": before, "after": revision(connection)})


def revision(connection: Connection) -> str | None:
    """Return the revision of the schema, and leave no transaction open."""
    found = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    return found


async def migrate(url: str, patience: float = PATIENCE_SECONDS) -> None:
    """Take the lock and upgrade. Raises InUseError, or one of FAILURES."""
    engine = create_async_engine(
        url,
        # The lock ends with the connection.
        poolclass=NullPool,
        connect_args={
            "timeout": CONNECT_TIMEOUT_SECONDS,
            "server_settings": {
                "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
                "statement_timeout": f"{STATEMENT_TIMEOUT_SECONDS}s",
            },
        },
    )
    deadline = asyncio.get_running_loop().time() + patience
    limit = asyncio.timeout(LIMIT_SECONDS)
    try:
        async with limit, engine.connect() as connection:
            await take_lock(connection, deadline)
            await upgrade_with_retries(connection, deadline)
    except TimeoutError as error:
        if limit.expired():
            raise InUseError(f"it was not done within {LIMIT_SECONDS:g} s") from error
        raise
    finally:
        await engine.dispose()


async def take_lock(connection: AsyncConnection, deadline: float) -> None:
    """Become the only one that migrates this database, for as long as the connection lasts. Raises InUseError."""
    while True:
        taken = await connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK})
        # No transaction stays open meanwhile: CREATE INDEX CONCURRENTLY of the other one would wait for it.
        await connection.rollback()
        if taken:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise InUseError("another migration has been running all the while")
        await asyncio.sleep(PAUSE_SECONDS / 4)


async def upgrade_with_retries(connection: AsyncConnection, deadline: float) -> None:
    """Upgrade; try again while a table is in use, from the step that could not have it. Raises InUseError."""
    while True:
        try:
            await connection.run_sync(upgrade)
        except DBAPIError as error:
            await connection.rollback()
            if getattr(error.orig, "sqlstate", None) not in IN_USE_STATES:
                raise
            if asyncio.get_running_loop().time() + PAUSE_SECONDS > deadline:
                raise InUseError(f"a table has been in use all the while ({brief(error)})") from error
            log.warning("a table is in use; trying again", extra={"reason": brief(error)})
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


async def until_stopped(url: str) -> int:
    """Migrate, or stop at SIGTERM, for which the first process of a container has no default.

    Return the exit status.
    """
    task = asyncio.ensure_future(migrate(url))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        log.error("stopped; the step under way was taken back")
        return 128 + signal.SIGTERM
    except MIGRATION_FAILURES as error:
        log.error("the database was not migrated", extra={"reason": brief(error)})
        return 1
    return 0


def run(environment: Mapping[str, str]) -> int:
    """Return the exit status: 0 when the schema is as this image needs it, or newer."""
    return asyncio.run(until_stopped(database_url("asyncpg", environment)))
