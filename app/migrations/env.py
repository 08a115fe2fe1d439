"""Alembic's environment: runs on the connection, and inside the transaction, that app.migrate opened."""

from alembic import context

from app.common.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
