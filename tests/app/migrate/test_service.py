"""The migrations, on a real PostgreSQL."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from app.common.tables import metadata
from app.migrate import service
from app.migrate.service import MIGRATIONS, migrate, revision
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


def test_a_failed_step_changes_nothing_and_says_why(empty_database: str, postgres: servers.Postgres) -> None:
    name = empty_database.rpartition("/")[2]
    asyncio.run(postgres.execute("CREATE TABLE chats (mine text)", name))
    failed = run(empty_database)
    assert 'relation \\"chats\\" already exists' in failed.communicate(timeout=60)[1]
    assert failed.returncode == 1
    tables = asyncio.run(postgres.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name))
    # The step before it is whole, and stays.
    assert sorted(row["tablename"] for row in tables) == ["alembic_version", "chats", "lab_panels", "lab_tests"]


@contextlib.asynccontextmanager
async def reader(url: str, table: str) -> AsyncIterator[None]:
    """Read a table in a transaction that stays open: a dump, a long query."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"SELECT FROM {table}")
            yield
    finally:
        await connection.close()


def test_a_step_waits_for_a_reader_without_holding_up_others(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PAUSE_SECONDS", 0.5)
    on_connection(empty_database, to_revision("0002"))
    longest = 0.0

    async def run() -> None:
        nonlocal longest
        async with reader(empty_database, "jobs"):
            migration = asyncio.ensure_future(migrate(asyncpg_url(empty_database)))
            end = time.monotonic() + 4
            while time.monotonic() < end:
                started = time.monotonic()
                async with reader(empty_database, "jobs"):
                    longest = max(longest, time.monotonic() - started)
                assert not migration.done()
        await asyncio.wait_for(migration, 10)

    asyncio.run(run())
    assert 0.5 < longest < 2
    assert on_connection(empty_database, differences) == []


def test_a_reader_that_never_ends_fails_the_migration_in_time(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PAUSE_SECONDS", 0.2)
    on_connection(empty_database, to_revision("0002"))

    async def run() -> float:
        async with reader(empty_database, "jobs"):
            started = time.monotonic()
            with pytest.raises(service.InUseError, match=r"a table has been in use all the while .*lock timeout"):
                await migrate(asyncpg_url(empty_database), patience=3)
            return time.monotonic() - started

    assert 2 < asyncio.run(run()) < 6
    assert on_connection(empty_database, revision) == "0002"


def test_another_migration_is_waited_for_in_vain_no_longer_than_that(empty_database: str) -> None:
    async def run() -> None:
        other = await asyncpg.connect(empty_database)
        await other.execute("SELECT pg_advisory_lock($1)", service.LOCK)
        with pytest.raises(service.InUseError, match="another migration"):
            await migrate(asyncpg_url(empty_database), patience=1)
        await other.close()

    asyncio.run(run())


def test_a_migration_has_an_end_whatever_happens(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LIMIT_SECONDS", 1)

    async def run() -> None:
        other = await asyncpg.connect(empty_database)
        await other.execute("SELECT pg_advisory_lock($1)", service.LOCK)
        with pytest.raises(service.InUseError, match="not done within 1 s"):
            await migrate(asyncpg_url(empty_database))
        await other.close()

    asyncio.run(run())


def test_an_older_image_leaves_a_newer_schema_as_it_is(empty_database: str) -> None:
    asyncio.run(migrate(asyncpg_url(empty_database)))

    def from_the_future(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    on_connection(empty_database, from_the_future)
    done = run(empty_database)
    said = done.communicate(timeout=60)[1]
    assert done.returncode == 0, said
    assert len(said.splitlines()) == 1
    assert "the schema is newer than this image" in said
    assert '"schema": "9999"' in said
    assert on_connection(empty_database, revision) == "9999"


STEP = '''
"""A step of a test."""

from alembic import op

from app.migrations.concurrently import create_index

revision = "9001"
down_revision = "{head}"


def upgrade() -> None:
    """Make what the test asks for."""
    {work}
'''


def more_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str) -> Path:
    """Add a step after the newest one."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    head = sorted(path.name[:4] for path in (folder / "versions").glob("[0-9]*.py"))[-1]
    (folder / "versions" / "9001_more.py").write_text(STEP.format(head=head, work=work))
    monkeypatch.setattr(service, "MIGRATIONS", folder)
    return folder


def test_an_index_is_made_while_others_write(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: servers.Postgres
) -> None:
    asyncio.run(migrate(asyncpg_url(empty_database)))
    more_steps(tmp_path, monkeypatch, 'create_index("jobs_by_kind", "jobs", ["kind"])')
    name = empty_database.rpartition("/")[2]
    # As a try that was cut off leaves it.
    asyncio.run(postgres.execute("CREATE INDEX jobs_by_kind ON jobs (status)", name))

    async def run() -> None:
        writer = await asyncpg.connect(empty_database)
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute("INSERT INTO jobs (id, kind) VALUES (gen_random_uuid(), 'aggregate')")
        migration = asyncio.ensure_future(migrate(asyncpg_url(empty_database)))
        # Longer than the lock's own limit: this kind of statement waits, and lets everyone else write.
        await asyncio.sleep(service.LOCK_TIMEOUT_SECONDS + 1)
        await asyncio.wait_for(
            postgres.execute("INSERT INTO jobs (id, kind) VALUES (gen_random_uuid(), 'aggregate')", name), 1
        )
        assert not migration.done()
        await transaction.commit()
        await asyncio.wait_for(migration, 20)
        await writer.close()

    asyncio.run(run())
    (row,) = asyncio.run(postgres.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'jobs_by_kind'", name))
    assert row["indexdef"].endswith("(kind)")


def test_a_step_that_fails_takes_none_before_it_back(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more_steps(tmp_path, monkeypatch, 'op.execute("SELECT 1 / 0")')
    with pytest.raises(DBAPIError, match="division by zero"):
        asyncio.run(migrate(asyncpg_url(empty_database)))
    assert on_connection(empty_database, differences) == []
