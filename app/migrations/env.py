"""Alembic's environment: runs on the connection that app.migrate opened, each step in a transaction of its own."""

from alembic import context

from app.common.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # A lock is held no longer than its step, and a step may leave the transaction (CREATE INDEX CONCURRENTLY).
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
