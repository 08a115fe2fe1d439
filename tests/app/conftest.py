"""Real servers for the tests that are marked `services`, started once a run, in about two seconds."""

import asyncio
import itertools
import os
import shutil
from collections.abc import Iterator

import boto3
import pytest

from app.common import probes
from app.migrate.service import migrate
from tests.app import servers

REGION = "us-east-1"
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def fresh_readiness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test see how things stand now, not how they stood for the test before it."""
    monkeypatch.setattr(probes, "KEPT_SECONDS", 0.0)


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Postgres]:
    """PostgreSQL, with the database `migrated` at the newest schema."""
    folder = servers.folder("postgres")
    server = servers.Postgres(folder)
    server.start()
    asyncio.run(server.execute("CREATE DATABASE migrated"))
    asyncio.run(migrate(server.url("migrated").replace("postgresql:", "postgresql+asyncpg:")))
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis() -> Iterator[servers.Redis]:
    """Redis."""
    folder = servers.folder("redis")
    server = servers.Redis(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def empty_database(postgres: servers.Postgres) -> Iterator[str]:
    """DATABASE_URL of a database of this test's own, without any table."""
    yield from like(postgres, "template1")


@pytest.fixture
def database(postgres: servers.Postgres) -> Iterator[str]:
    """DATABASE_URL of a database of this test's own, at the newest schema."""
    yield from like(postgres, "migrated")


@pytest.fixture(scope="module")
def module_database(postgres: servers.Postgres) -> Iterator[str]:
    """The same for all tests of a module together."""
    yield from like(postgres, "migrated")


def like(postgres: servers.Postgres, template: str) -> Iterator[str]:
    """A database that begins as `template` and ends with whoever uses it."""
    name = f"test_{next(_numbers)}"
    asyncio.run(postgres.execute(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield postgres.url(name)
    asyncio.run(postgres.execute(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def sqs() -> Iterator[str]:
    """A server that speaks SQS (moto); its address."""
    from moto.server import ThreadedMotoServer  # two seconds that most tests need not wait for

    # boto3 signs what it sends; the emulator takes any signature.
    given = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture
def queue_url(sqs: str) -> str:
    """JOBS_QUEUE_URL of a queue of this test's own."""
    client = boto3.client("sqs", endpoint_url=sqs, region_name=REGION)
    return str(client.create_queue(QueueName=f"jobs-{next(_numbers)}")["QueueUrl"])
