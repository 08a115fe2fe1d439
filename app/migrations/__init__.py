"""The database's schema, step by step (Alembic). `SERVICE_TYPE=migrate python -m app` runs them."""
