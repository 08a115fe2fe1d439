"""The migrations, on a real PostgreSQL."""

import asyncio
import os
import subprocess
import sys

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.common.tables import metadata
from app.migrate.service import MIGRATIONS, migrate
from tests.app import servers

pytestmark = pytest.mark.services

LATE = "7a1de9f2-3c1a-4a7c-9f0e-2f4f1f6f0001"
DONE = "7a1de9f2-3c1a-4a7c-9f0e-2f4f1f6f0002"


def asyncpg_url(url: str) -> str:
    return url.replace("postgresql:", "postgresql+asyncpg:")


def on_connection(url: str, work: object) -> object:
    async def run() -> object:
        engine = create_async_engine(asyncpg_url(url))
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(run())


def to_revision(revision: str, direction: str = "upgrade") -> object:
    def work(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        getattr(command, direction)(config, revision)

    return work


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


def run(url: str) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME")}
    return subprocess.Popen(
        [sys.executable, "-m", "app"],
        env={**environment, "SERVICE_TYPE": "migrate", "DATABASE_URL": url},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_migrations_make_exactly_the_tables_of_the_code(empty_database: str) -> None:
    asyncio.run(migrate(asyncpg_url(empty_database)))
    assert on_connection(empty_database, differences) == []


def test_constraints_and_partial_indexes_are_those_of_the_code_too(
    empty_database: str, postgres: servers.Postgres
) -> None:
    """Which the comparison above does not look at."""
    other = empty_database.rpartition("/")[2] + "_by_code"
    asyncio.run(postgres.execute(f"CREATE DATABASE {other}"))
    asyncio.run(migrate(asyncpg_url(empty_database)))
    on_connection(postgres.url(other), metadata.create_all)
    checks = (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version' ORDER BY 1, 2"
    )
    indexes = (
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1"
    )
    for query in (checks, indexes):
        migrated = asyncio.run(postgres.execute(query, empty_database.rpartition("/")[2]))
        assert migrated == asyncio.run(postgres.execute(query, other))


def test_migrating_twice_changes_nothing(empty_database: str) -> None:
    first, second = run(empty_database), run(empty_database)
    said = [process.communicate(timeout=60)[1] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    # From two places at once, one did it all and the other found nothing to do.
    assert sorted('"before": null' in text for text in said) == [False, True], said
    third = run(empty_database)
    assert '"before": "0003", "after": "0003"' in third.communicate(timeout=60)[1]
    assert third.returncode == 0
    assert on_connection(empty_database, differences) == []


def test_a_panel_from_before_accounts_gets_its_job_and_no_owner(empty_database: str) -> None:
    def old_rows(connection: Connection) -> None:
        to_revision("0001")(connection)  # type: ignore[operator]
        connection.execute(
            text(
                "INSERT INTO lab_panels (id, patient_reference, status, sent_at, finished_at) VALUES "
                "(:late, 'p-1', 'queued', now(), NULL), (:done, 'p-2', 'done', now(), now())"
            ),
            {"late": LATE, "done": DONE},
        )

    def jobs(connection: Connection) -> list[tuple[object, ...]]:
        rows = connection.execute(
            text(
                "SELECT panel_id::text, kind, jobs.status, jobs.owner_id, lab_panels.owner_id, "
                "jobs.sent_at IS NULL, jobs.created_at = lab_panels.created_at "
                "FROM jobs JOIN lab_panels ON panel_id = lab_panels.id ORDER BY panel_id"
            )
        )
        return [tuple(row) for row in rows]

    on_connection(empty_database, old_rows)
    asyncio.run(migrate(asyncpg_url(empty_database)))
    # What no worker has done is sent again: the message of old names a panel, and workers know jobs.
    assert on_connection(empty_database, jobs) == [
        (LATE, "categorise", "queued", None, None, True, True),
        (DONE, "categorise", "done", None, None, False, True),
    ]


def test_a_migration_can_be_taken_back(empty_database: str) -> None:
    asyncio.run(migrate(asyncpg_url(empty_database)))
    on_connection(empty_database, to_revision("0001", "downgrade"))
    asyncio.run(migrate(asyncpg_url(empty_database)))
    assert on_connection(empty_database, differences) == []


def test_a_failed_migration_changes_nothing_and_says_why(empty_database: str, postgres: servers.Postgres) -> None:
    name = empty_database.rpartition("/")[2]
    asyncio.run(postgres.execute("CREATE TABLE chats (mine text)", name))
    failed = run(empty_database)
    assert 'relation \\"chats\\" already exists' in failed.communicate(timeout=60)[1]
    assert failed.returncode == 1
    tables = asyncio.run(postgres.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name))
    assert [row["tablename"] for row in tables] == ["chats"]
