"""PostgreSQL as the HTTP services use it: one small pool, bounded waits, and what "the database is away" means."""

from typing import Any

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_TIMEOUT_SECONDS = 3
STATEMENT_TIMEOUT_SECONDS = 5
# Three services of this image and the worker share a PostgreSQL on a host of 2 GB; each connection costs it 5-10 MB.
POOL_SIZE = 5
MAX_OVERFLOW = 5

FAILURES: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a query may raise. While it connects, asyncpg's own errors come through SQLAlchemy as they are."""

# Connection exceptions, insufficient resources, operator intervention (a shutdown, a start, a cancelled statement).
AWAY_STATES = ("08", "53", "57")


def engine(url: str) -> AsyncEngine:
    """A pool of connections, none of which is opened before it is used: a service starts without its database."""
    made = create_async_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=MAX_OVERFLOW,
        pool_timeout=CONNECT_TIMEOUT_SECONDS,
        hide_parameters=True,  # an error's text is logged; what a panel holds is not
        connect_args={
            "timeout": CONNECT_TIMEOUT_SECONDS,
            "command_timeout": STATEMENT_TIMEOUT_SECONDS,
            # Compiling a query takes longer than any of ours runs.
            "server_settings": {"jit": "off", "statement_timeout": f"{STATEMENT_TIMEOUT_SECONDS}s"},
        },
    )
    event.listen(made.sync_engine, "checkout", alive)
    return made


def alive(connection: Any, *_: object) -> None:
    """Have the pool open another connection in place of one that the database has closed: after its restart, the very
    next request is answered. asyncpg knows without asking; `pool_pre_ping` would ask before every query."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def reading(made: AsyncEngine) -> AsyncEngine:
    """The same pool for single queries that change nothing: one way to the database and back, where a transaction
    takes three."""
    return made.execution_options(isolation_level="AUTOCOMMIT")


def is_away(error: Exception) -> bool:
    """Whether an error says that the database cannot answer now, rather than that we asked it something wrong."""
    if isinstance(error, (OSError, PoolTimeoutError, OperationalError, InterfaceError, asyncpg.InterfaceError)):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = getattr(getattr(error, "orig", None) or error, "sqlstate", None) or ""
    return str(state).startswith(AWAY_STATES)


def brief(error: Exception) -> str:
    """An error's kind and its first line, without the statement and address that drivers add."""
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {str(cause).partition(chr(10))[0][:200]}"
