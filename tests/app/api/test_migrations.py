"""The migrations make the tables that the code uses."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from app.api.migrate import upgrade
from app.common.tables import metadata


def test_the_migrations_make_exactly_the_tables_of_the_code() -> None:
    with create_engine("sqlite://").begin() as connection:
        upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_twice_changes_nothing() -> None:
    with create_engine("sqlite://").begin() as connection:
        upgrade(connection)
        upgrade(connection)
        assert set(inspect(connection).get_table_names()) == {"alembic_version", "lab_panels", "lab_tests"}
