"""The dashboard as a process: real PostgreSQL, Redis, and an emulator of SQS and SSM."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import boto3
import httpx
import pytest
from sqlalchemy import insert

from app.auth.passwords import Passwords
from app.common import database as databases
from app.common.environment import SettingError
from app.common.tables import jobs, lab_panels, lab_tests, trends, users, workers
from app.dashboard.records import CategoryTotal, JobCounts, PostgresRecords
from app.dashboard.service import Settings
from tests.app import servers
from tests.app.dashboard.fakes import verified

REGION = "us-east-1"
PASSWORD = "correct horse battery staple"
DIGEST = "sha256:" + "0123456789abcdef" * 4
ENVIRONMENT = {
    "DATABASE_URL": "postgresql://u:p@postgres:5432/slipway",
    "REDIS_URL": "redis://redis:6379/0",
    "JOBS_QUEUE_URL": "http://queue/123456789012/jobs",
    "AWS_REGION": REGION,
}


def test_only_the_release_is_optional() -> None:
    assert Settings.read(ENVIRONMENT).verified_parameter is None
    assert Settings.read(ENVIRONMENT | {"VERIFIED_PARAMETER": "/p/s/verified"}).verified_parameter == "/p/s/verified"
    for name in ENVIRONMENT:
        with pytest.raises(SettingError, match=f"{name} is not set"):
            Settings.read({key: value for key, value in ENVIRONMENT.items() if key != name})


@pytest.mark.services
def test_the_dashboard_imports_neither_the_chat_nor_the_other_services() -> None:
    code = (
        "import sys, app.dashboard.service; "
        "print([name for name in ('openai', 'langgraph', 'langchain_core', 'app.chat', 'app.api', 'app.auth.service', "
        "'app.auth.routes', 'alembic') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


async def seed(url: str) -> None:
    """Two accounts, four jobs, a panel, a trend and a worker."""
    engine = databases.engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    hashing = Passwords()
    operator, user, panel = uuid4(), uuid4(), uuid4()
    now = datetime.now(UTC)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    kept = await hashing.hash(PASSWORD)
    people = [(operator, "operator@lab.example", "operator"), (user, "ada@lab.example", "user")]
    async with engine.begin() as connection:
        await connection.execute(
            insert(users),
            [{"id": key, "email": email, "password_hash": kept, "role": role} for key, email, role in people],
        )
        await connection.execute(insert(lab_panels).values(id=panel, owner_id=user, patient_reference="secret-17"))
        for position, category in enumerate(("lipids", "lipids", None)):
            await connection.execute(
                insert(lab_tests).values(
                    panel_id=panel, position=position, name="LDL", value=100.0, unit="mg/dL", category=category
                )
            )
        for kind, status, ended in (
            ("categorise", "queued", None),
            ("categorise", "done", now),
            ("extract", "failed", now),
            ("extract", "failed", now - timedelta(days=2)),
        ):
            await connection.execute(
                insert(jobs).values(
                    id=uuid4(),
                    kind=kind,
                    owner_id=user,
                    status=status,
                    finished_at=ended,
                    created_at=now - timedelta(minutes=3),
                    reason="the encoder <gave> up" if status == "failed" else None,
                    deliveries=5,
                )
            )
        for owner, count, mean in ((operator, 1, 90.0), (user, 3, 110.0)):
            await connection.execute(
                insert(trends).values(
                    owner_id=owner,
                    test_name="ldl",
                    unit="mg/dL",
                    period=month,
                    category="lipids",
                    count=count,
                    mean=mean,
                    minimum=mean,
                    maximum=mean,
                    latest=mean,
                )
            )
        await connection.execute(insert(workers).values(id="worker-1", model="minilm", jobs_done=4))
    hashing.close()
    await engine.dispose()


@pytest.mark.services
def test_the_records_add_up_what_is_in_the_database(database: str) -> None:
    async def read() -> dict[str, Any]:
        engine = databases.engine(database.replace("postgresql:", "postgresql+asyncpg:"))
        records = PostgresRecords(engine)
        empty = [await records.jobs(), await records.failures(), await records.workers(), await records.categories()]
        empty += [await records.months(), await records.tests()]
        await seed(database)
        await records.check()
        names = ("jobs", "hours", "failures", "workers", "categories", "months", "tests")
        found = {name: await getattr(records, name)() for name in names}
        await engine.dispose()
        return found | {"empty": empty}

    found = asyncio.run(read())
    assert found["empty"][0].kinds == ()
    assert found["empty"][0].oldest_waits_seconds is None
    assert found["empty"][1:] == [[]] * 5
    assert found["jobs"].kinds == (JobCounts("categorise", 1, 1, 0), JobCounts("extract", 0, 0, 2))
    assert found["jobs"].unsent == 1
    assert 175 < found["jobs"].oldest_waits_seconds < 200
    assert len(found["hours"]) == 24
    assert [(hour.done, hour.failed) for hour in found["hours"] if hour.done or hour.failed] == [(1, 1)]
    assert found["hours"] == sorted(found["hours"], key=lambda hour: hour.begins_at)
    assert [failure.reason for failure in found["failures"]] == ["the encoder <gave> up"] * 2
    assert isinstance(found["failures"][0].job_id, UUID)
    assert (found["workers"][0].id, found["workers"][0].state) == ("worker-1", "alive")
    assert found["categories"] == [CategoryTotal("lipids", 2), CategoryTotal(None, 1)]
    assert [(month.category, month.results) for month in found["months"]] == [("lipids", 4)]
    (trend,) = found["tests"]
    assert (trend.test_name, trend.unit, trend.results) == ("ldl", "mg/dL", 4)
    assert [mean for _, mean in trend.means] == [105.0]


@pytest.fixture
def running(
    database: str, redis: servers.Redis, sqs: str, queue_url: str
) -> Iterator[tuple[servers.Service, dict[str, str]]]:
    """The dashboard over a seeded database, a queue with a dead-letter queue, and a release."""
    asyncio.run(seed(database))
    queues, parameters = (
        boto3.client(kind, endpoint_url=sqs, region_name=REGION)  # type: ignore[call-overload]
        for kind in ("sqs", "ssm")
    )
    dead = queues.create_queue(QueueName="given-up")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "5"})
    queues.set_queue_attributes(QueueUrl=queue_url, Attributes={"RedrivePolicy": policy})
    for url, messages in ((queue_url, 3), (dead, 2)):
        for _ in range(messages):
            queues.send_message(QueueUrl=url, MessageBody="x")
    queues.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=1, VisibilityTimeout=600)
    # More than a page of SSM's, as after a year of releases.
    for number in range(60):
        release = verified(f"release-{number}", api=DIGEST, web=f"sha256:{number}")
        parameters.put_parameter(Name="/slipway/test/verified", Value=release, Type="String", Overwrite=True)
    folder = servers.folder("dashboard")
    environment = {
        "DATABASE_URL": database,
        "REDIS_URL": redis.url,
        "JOBS_QUEUE_URL": queue_url,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": sqs,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "VERIFIED_PARAMETER": "/slipway/test/verified",
    }
    service = servers.Service(folder, "dashboard", environment)
    service.start()
    yield service, environment
    service.stop()
    queues.delete_queue(QueueUrl=dead)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.services
def test_an_operator_signs_in_with_a_real_password_and_sees_real_numbers(
    running: tuple[servers.Service, dict[str, str]],
) -> None:
    service, _ = running
    headers = {"origin": service.url}
    with httpx.Client(base_url=service.url, headers=headers, follow_redirects=True, timeout=30) as browser:
        wrong = browser.post("/dashboard/sign-in", data={"email": "operator@lab.example", "password": "wrong password"})
        assert wrong.status_code == 401
        user = browser.post("/dashboard/sign-in", data={"email": "ada@lab.example", "password": PASSWORD})
        assert user.status_code == 403
        page = browser.post("/dashboard/sign-in", data={"email": "Operator@lab.example", "password": PASSWORD})
        assert (page.status_code, page.url.path) == (200, "/dashboard")
        text = " ".join(page.text.split())
        for seen in (
            "<dt>Waiting</dt><dd>2</dd>",
            "<dt>In flight</dt><dd>1</dd>",
            '<dt>Dead letters</dt><dd class="bad">2</dd>',
            "the encoder &lt;gave&gt; up",
            "worker-1",
            DIGEST[7:19],
            "release <code>release-59</code>",
            "<code>release-57</code>",
            "Redis answers in",
        ):
            assert seen in text
        assert "secret-17" not in text
        assert "release-56" not in text
        token = browser.cookies["slipway_dashboard"]
        browser.post("/dashboard/sign-out")
        browser.cookies.set("slipway_dashboard", token, path="/dashboard")
        assert browser.get("/dashboard").url.path == "/dashboard/sign-in"
    for secret in (PASSWORD, token, "operator@lab.example"):
        assert secret not in service.log


@pytest.mark.services
def test_with_the_cloud_and_the_cache_away_the_page_is_still_there_and_within_memory(
    running: tuple[servers.Service, dict[str, str]],
) -> None:
    _, environment = running
    folder = servers.folder("dashboard-alone")
    nowhere = f"http://127.0.0.1:{servers.free_port()}"
    away = {"REDIS_URL": f"redis://127.0.0.1:{servers.free_port()}/0", "AWS_ENDPOINT_URL": nowhere}
    alone = servers.Service(folder, "dashboard", environment | away)
    alone.start()
    try:
        with httpx.Client(
            base_url=alone.url, headers={"origin": alone.url}, follow_redirects=True, timeout=30
        ) as browser:
            form = {"email": "operator@lab.example", "password": PASSWORD}
            page = browser.post("/dashboard/sign-in", data=form, timeout=20)
        assert page.status_code == 200
        for sentence in ("The queue cannot be reached", "The release cannot be read", "Redis cannot be reached"):
            assert sentence in page.text
        assert resident_mib(alone.pid) < 200
    finally:
        alone.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.services
def test_without_the_database_it_starts_and_says_so() -> None:
    folder = servers.folder("dashboard-without")
    url = f"postgresql://slipway@127.0.0.1:{servers.free_port()}/none"
    redis = f"redis://127.0.0.1:{servers.free_port()}/0"
    service = servers.Service(folder, "dashboard", ENVIRONMENT | {"DATABASE_URL": url, "REDIS_URL": redis})
    service.start()
    try:
        page = httpx.get(f"{service.url}/dashboard", cookies={"slipway_dashboard": "x" * 43}, timeout=20)
        assert page.status_code == 503
        assert "The database is away" in page.text
    finally:
        service.stop()
        shutil.rmtree(folder, ignore_errors=True)


def resident_mib(pid: int) -> float:
    """The memory that a process has, in MiB."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024
