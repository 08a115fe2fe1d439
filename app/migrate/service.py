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
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.common.database import FAILURES, brief
from app.common.environment import database_url

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
# Any number, as long as nothing else in this database takes the same advisory lock.
LOCK = 7_266_001
CONNECT_TIMEOUT_SECONDS = 10
# A step that waits for a lock of a table makes all who come after it wait too: better to give up, and leave the release
# that runs as it is.
LOCK_TIMEOUT_SECONDS = 15


def upgrade(connection: Connection) -> None:
    """Run what is missing, in the transaction that `connection` is in: all of it or nothing."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    before = MigrationContext.configure(connection).get_current_revision()
    command.upgrade(config, "head")
    after = MigrationContext.configure(connection).get_current_revision()
    log.info("the database is migrated", extra={"before": before, "after": after})


async def migrate(url: str) -> None:
    """Take the lock, upgrade, let go: the lock lasts as long as the transaction."""
    engine = create_async_engine(url, connect_args={"timeout": CONNECT_TIMEOUT_SECONDS})
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"))
            await connection.run_sync(upgrade)
    finally:
        await engine.dispose()


async def until_stopped(url: str) -> int:
    """Migrate, or stop at SIGTERM:

    the first process of a container has no default for it. The exit status.
    """
    task = asyncio.ensure_future(migrate(url))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        log.error("stopped; nothing was changed")
        return 128 + signal.SIGTERM
    except FAILURES as error:
        log.error("the database was not migrated", extra={"reason": brief(error)})
        return 1
    return 0


def run(environment: Mapping[str, str]) -> int:
    """The exit status: 0 when the schema is as this image needs it."""
    return asyncio.run(until_stopped(database_url("asyncpg", environment)))
