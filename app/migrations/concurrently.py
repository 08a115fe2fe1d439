"""Build an index while the table is written to."""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import TextClause

WAIT_SECONDS = 60
"""Such a statement waits for transactions that are under way, but lets queries pass: it may wait for longer."""


def create_index(name: str, table: str, columns: Sequence[str | TextClause]) -> None:
    """Create an index by CREATE INDEX CONCURRENTLY, outside the step's transaction.

    A try that was cut off leaves an index that is not valid; the next one begins by dropping it.
    """
    with op.get_context().autocommit_block():
        op.execute(f"SET lock_timeout = '{WAIT_SECONDS}s'")
        try:
            op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, table, columns, postgresql_concurrently=True)
        finally:
            op.execute("RESET lock_timeout")
