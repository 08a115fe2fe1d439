"""PostgreSQL as the HTTP services use it: one small pool, bounded waits, and what "the database is away" means."""

from typing import Any

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import event
from sqlalchemy.engine import ExecutionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_TIMEOUT_SECONDS = 3
STATEMENT_TIMEOUT_SECONDS = 5
# Three services of this image and the worker share a PostgreSQL on a host of 2 GB; each connection costs it 5-10 MB.
POOL_SIZE = 3
MAX_OVERFLOW = 2
AUTOCOMMIT = "AUTOCOMMIT"

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
    event.listen(made.sync_engine, "do_execute", execute)
    return made


def execute(cursor: Any, statement: str, parameters: Any, context: ExecutionContext) -> bool:
    """Run a statement; once more if a migration has changed a type since the connection prepared it.

    In a transaction it cannot be run again, for PostgreSQL has ended that. Return True: it has been run.
    """
    try:
        cursor.execute(statement, parameters)
    except Exception as error:
        if not is_stale(error) or context.execution_options.get("isolation_level") != AUTOCOMMIT:
            raise
        # What SQLAlchemy does itself, but for the second try: all connections forget what they prepared.
        context.handle_dbapi_exception(error)
        context.pre_exec()
        cursor.execute(statement, parameters)
    return True


def is_stale(error: BaseException) -> bool:
    """Return True if a driver's error says that a migration has made a prepared statement useless."""
    return isinstance(error.__cause__, asyncpg.InvalidCachedStatementError)


def alive(connection: Any, *_: object) -> None:
    """Have the pool open another connection in place of one that the database has closed: after its restart, the very
    next request is answered. asyncpg knows without asking; `pool_pre_ping` would ask before every query."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def reading(made: AsyncEngine) -> AsyncEngine:
    """The same pool for single queries that change nothing: one way to the database and back, where a transaction
    takes three."""
    return made.execution_options(isolation_level=AUTOCOMMIT)


def is_away(error: Exception) -> bool:
    """Whether an error says that the database cannot answer now, rather than that we asked it something wrong."""
    if isinstance(error, (OSError, PoolTimeoutError, OperationalError, InterfaceError, asyncpg.InterfaceError)):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, DBAPIError) and error.orig is not None and is_stale(error.orig):
        return True
    state = getattr(getattr(error, "orig", None) or error, "sqlstate", None) or ""
    return str(state).startswith(AWAY_STATES)


def brief(error: Exception) -> str:
    """An error's kind and its first line, without the statement and address that drivers add."""
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {str(cause).partition(chr(10))[0][:200]}"
