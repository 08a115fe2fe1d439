"""The API as a process, with a real PostgreSQL, Redis and a queue that speaks SQS."""

import asyncio
import hashlib
import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import boto3
import httpx
import pytest

from app.api.outbox import IDLE_LOOKS, Outbox
from app.api.queue import SqsQueue
from app.api.store import PostgresStore
from app.common import database as engines
from app.common import environment as env
from app.common.jobs import Job
from tests.app import servers

pytestmark = pytest.mark.services

REGION = "us-east-1"
HEAVY_MIB = 200
"""Memory that the API may have (the design's bar)."""
PANEL: dict[str, Any] = {
    "patient_reference": "patient-17",
    "tests": [
        {"name": "HbA1c", "value": 6.1, "unit": "%", "reference_range": {"low": 4, "high": 5.6}},
        {"name": "pH", "value": 7.4, "unit": "", "reference_range": None},
    ],
}
REPORT = {"patient_reference": "patient-17", "body": "HbA1c 6.1 %"}


@dataclass
class Running:
    """The API with its neighbors, and the tokens of two users and an operator."""

    process: servers.Service
    postgres: servers.Postgres
    redis: servers.Redis
    database: str
    queue: Any
    queue_url: str
    tokens: dict[str, str]

    def ask(self, method: str, path: str, who: str = "ada", **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[who]}", **options.pop("headers", {})}
        return httpx.request(method, f"{self.process.url}{path}", headers=headers, timeout=30, **options)

    def execute(self, statement: str, *values: object) -> list[Any]:
        return asyncio.run(self.postgres.execute(statement, self.database.rpartition("/")[2], *values))

    def messages(self) -> list[Job]:
        """What is in the queue, taken out of it."""
        found: list[Job] = []
        while got := self.queue.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            for message in got:
                found.append(Job.from_json(message["Body"]))
                self.queue.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture(scope="module")
def api(postgres: servers.Postgres, redis: servers.Redis, module_database: str, sqs: str) -> Iterator[Running]:
    queue = boto3.client("sqs", endpoint_url=sqs, region_name=REGION)
    queue_url = str(queue.create_queue(QueueName="jobs-of-the-api")["QueueUrl"])
    process = servers.api(module_database, redis.url, sqs, queue_url, REGION)
    process.start()
    tokens = {
        name: servers.sign_in(postgres, module_database, f"{name}@lab.example", role)
        for name, role in (("ada", "user"), ("ben", "user"), ("olga", "operator"))
    }
    yield Running(process, postgres, redis, module_database, queue, queue_url, tokens)
    process.stop(signal.SIGTERM)
    shutil.rmtree(process.folder)


def until(true: Callable[[], Any], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def test_ready_names_each_thing_that_it_needs(api: Running) -> None:
    fine = {"ok": True, "reason": None}
    assert api.ask("GET", "/ready").json() == {"ready": True, "database": fine, "queue": fine, "cache": fine}


def test_a_panel_is_stored_whole_and_its_job_is_in_the_queue_within_a_moment(api: Running) -> None:
    api.messages()
    made = api.ask("POST", "/labs", json=PANEL)
    assert made.status_code == 202
    jobs: list[Job] = []
    until(lambda: jobs.extend(api.messages()) or jobs)
    # The outbox notes what the queue took a moment after the queue shows it.
    until(lambda: api.ask("GET", "/jobs", params={"limit": 1}).json()["items"][0]["sent_at"])
    (row,) = api.ask("GET", "/jobs", params={"limit": 1}).json()["items"]
    assert jobs == [Job("categorise", UUID(row["id"]))]
    assert row["panel_id"] == made.json()["id"]
    panel = api.ask("GET", f"/{made.headers['location']}").json()
    assert panel["tests"] == [{**test, "category": None, "confidence": None} for test in PANEL["tests"]]
    assert api.ask("GET", f"/jobs/{row['id']}").json() == row


def test_a_job_that_the_worker_adds_is_sent_too(api: Running) -> None:
    api.messages()
    (row,) = api.execute(
        "INSERT INTO jobs (id, kind, owner_id) SELECT gen_random_uuid(), 'aggregate', id FROM users "
        "WHERE email = 'ada@lab.example' RETURNING id"
    )
    jobs: list[Job] = []
    until(lambda: jobs.extend(api.messages()) or jobs)
    assert jobs == [Job("aggregate", row["id"])]


def test_the_same_key_from_many_at_once_is_one_panel(api: Running) -> None:
    def post(_: int) -> httpx.Response:
        return api.ask("POST", "/labs", json=PANEL, headers={"Idempotency-Key": "race-1"})

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(post, range(24)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    made = answers[0].json()["id"]
    assert api.execute("SELECT count(*) FROM jobs WHERE panel_id = $1", made)[0][0] == 1
    other = api.ask("POST", "/labs", json={**PANEL, "patient_reference": "p-2"}, headers={"Idempotency-Key": "race-1"})
    assert other.status_code == 422
    report = api.ask("POST", "/reports", json=REPORT, headers={"Idempotency-Key": "race-1"})
    assert report.status_code == 422


def test_a_key_that_v0_1_0_kept_is_still_known(api: Running) -> None:
    """It told requests apart by what it made of them, with all that was left out."""
    headers = {"Idempotency-Key": "across-1"}
    made = api.ask("POST", "/reports", json=REPORT, headers=headers).json()["id"]
    old = hashlib.sha256(("/reports\n" + json.dumps(REPORT, separators=(",", ":"))).encode()).digest()
    api.execute("UPDATE idempotency_keys SET request_sha256 = $1 WHERE key = 'across-1'", old)
    assert api.ask("POST", "/reports", json=REPORT, headers=headers).json()["id"] == made


def test_different_requests_with_one_key_at_once_make_one_thing(api: Running) -> None:
    before = api.execute("SELECT count(*) FROM lab_panels")[0][0]

    def post(number: int) -> int:
        body = {**PANEL, "patient_reference": f"patient-{number}"}
        return api.ask("POST", "/labs", json=body, headers={"Idempotency-Key": "race-2"}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(post, range(8))) == [202] + [422] * 7
    assert api.execute("SELECT count(*) FROM lab_panels")[0][0] == before + 1


def test_what_is_bens_is_not_adas_to_read(api: Running) -> None:
    panel = api.ask("POST", "/labs", "ben", json=PANEL).json()["id"]
    report = api.ask("POST", "/reports", "ben", json=REPORT).json()["id"]
    job = api.ask("GET", "/jobs", "ben").json()["items"][0]["id"]
    api.execute("UPDATE lab_panels SET status = 'done' WHERE id = $1", panel)
    for path in (f"/labs/{panel}", f"/reports/{report}", f"/jobs/{job}"):
        assert api.ask("GET", path, "ben").status_code == 200
        assert api.ask("GET", path, "ada").status_code == 404
        assert api.ask("GET", path, "olga").status_code == 200
    for path in ("/labs", "/reports", "/jobs"):
        mine = {item["id"] for item in api.ask("GET", path, "ada", params={"limit": 100}).json()["items"]}
        assert mine.isdisjoint({panel, report, job})
        everything = {item["id"] for item in api.ask("GET", path, "olga", params={"limit": 100}).json()["items"]}
        assert not everything.isdisjoint({panel, report, job})


def test_a_panel_without_an_owner_is_an_operators_to_see(api: Running) -> None:
    (row,) = api.execute("INSERT INTO lab_panels (id, patient_reference) VALUES (gen_random_uuid(), 'p') RETURNING id")
    assert api.ask("GET", f"/labs/{row['id']}", "ada").status_code == 404
    assert api.ask("GET", f"/labs/{row['id']}", "olga").json()["owner_id"] is None


def test_pages_hold_everything_once_even_of_one_moment(api: Running) -> None:
    token = servers.sign_in(api.postgres, api.database, "pages@lab.example")
    api.tokens["pages"] = token
    # In one transaction: all of one time.
    api.execute(
        "INSERT INTO reports (id, owner_id, patient_reference, body) SELECT gen_random_uuid(), id, 'p', 'b' "
        "FROM users, generate_series(1, 25) WHERE email = 'pages@lab.example'"
    )
    seen: list[str] = []
    cursor = None
    for size in (10, 10, 5):
        page = api.ask(
            "GET", "/reports", "pages", params={"limit": 10, **({"cursor": cursor} if cursor else {})}
        ).json()
        assert len(page["items"]) == size
        seen += [report["id"] for report in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert len(set(seen)) == 25


def test_jobs_are_listed_by_status(api: Running) -> None:
    api.ask("POST", "/labs", json=PANEL)
    (newest,) = api.ask("GET", "/jobs", params={"limit": 1}).json()["items"]
    api.execute("UPDATE jobs SET status = 'failed', reason = 'no idea', deliveries = 3 WHERE id = $1", newest["id"])
    failed = api.ask("GET", "/jobs", params={"status": "failed"}).json()["items"]
    assert [job["id"] for job in failed] == [newest["id"]]
    assert (failed[0]["reason"], failed[0]["deliveries"]) == ("no idea", 3)
    assert newest["id"] not in {
        job["id"] for job in api.ask("GET", "/jobs", params={"status": "queued"}).json()["items"]
    }


def test_a_list_of_panels_counts_their_tests(api: Running) -> None:
    api.tokens["counts"] = servers.sign_in(api.postgres, api.database, "counts@lab.example")
    tests = [
        {"name": "HbA1c", "value": 6.1, "unit": "%", "reference_range": {"low": 4, "high": 5.6}},
        {"name": "TSH", "value": 0.1, "unit": "mIU/L", "reference_range": {"low": 0.4}},
        {"name": "LDL", "value": 3, "unit": "mmol/L", "reference_range": {"high": 3}},
        {"name": "pH", "value": 7.4, "unit": ""},
    ]
    made = [
        api.ask("POST", "/labs", "counts", json={"patient_reference": "p", "tests": tests[:count]}).json()["id"]
        for count in (1, 4)
    ]
    api.execute(
        "UPDATE lab_tests SET category = CASE name WHEN 'TSH' THEN 'thyroid' WHEN 'LDL' THEN 'lipids' END "
        "WHERE panel_id = $1",
        made[1],
    )
    newest, first = api.ask("GET", "/labs", "counts").json()["items"]
    assert (newest["id"], newest["test_count"], newest["out_of_range"]) == (made[1], 4, 2)
    assert newest["categories"] == ["lipids", "thyroid"]
    assert (first["id"], first["test_count"], first["out_of_range"], first["categories"]) == (made[0], 1, 1, [])
    assert "tests" not in newest


def test_forty_heavy_lists_at_once_fit_into_its_memory(
    api: Running, postgres: servers.Postgres, database: str, sqs: str, queue_url: str
) -> None:
    """Lists of panels as full as they may be, and trends as long as an answer may be."""
    api.tokens["heavy"] = servers.sign_in(postgres, database, "heavy@lab.example")
    name = database.rpartition("/")[2]
    for statement in (
        "INSERT INTO lab_panels (id, owner_id, patient_reference) SELECT gen_random_uuid(), id, repeat('p', 128) "
        "FROM users, generate_series(1, 100)",
        "INSERT INTO lab_tests (panel_id, position, name, value, unit, category) "
        "SELECT id, n, repeat('n', 190) || n, n, repeat('u', 32), 'category ' || n FROM lab_panels, "
        "generate_series(1, 100) AS n",
        "INSERT INTO trends (owner_id, test_name, unit, period, category, count, mean, minimum, maximum, latest) "
        "SELECT id, repeat('n', 190) || n % 100, repeat('u', 32), make_timestamptz(1950 + n / 100, 1, 1, 0, 0, 0), "
        "'category', 1, n, n, n, n FROM users, generate_series(1, 6000) AS n",
    ):
        asyncio.run(postgres.execute(statement, name))
    process = servers.api(database, api.redis.url, sqs, queue_url, REGION)
    process.start()

    def ask(path: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {api.tokens['heavy']}"}
        return httpx.get(f"{process.url}{path}", headers=headers, timeout=60)

    try:
        with ThreadPoolExecutor(40) as pool:
            lists = [answer.status_code for answer in pool.map(ask, ["/labs?limit=100"] * 200)]
            after_lists = resident_peak(process.pid)
            trends = [answer.status_code for answer in pool.map(ask, ["/trends"] * 80)]
            after_trends = resident_peak(process.pid)
    finally:
        process.stop(signal.SIGTERM)
        shutil.rmtree(process.folder)
    assert set(lists) == {200}
    # Forty answers of 5,000 months each keep the processor busy for longer than some can wait.
    assert set(trends) <= {200, 503}
    assert max(after_lists, after_trends) < HEAVY_MIB, f"{after_lists} MiB, then {after_trends} MiB"


def resident_peak(pid: int) -> int:
    """The most memory that a process had at once, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


def test_entities_come_in_the_order_of_the_text(api: Running) -> None:
    report = api.ask("POST", "/reports", json=REPORT).json()["id"]
    api.execute(
        "INSERT INTO report_entities VALUES "
        "($1, 1, 6, 9, '6.1', 'number', 0.5, NULL, NULL), ($1, 0, 0, 5, 'HbA1c', 'diabetes', 0.9, 6.1, '%')",
        report,
    )
    entities = api.ask("GET", f"/reports/{report}").json()["entities"]
    assert [entity["found"] for entity in entities] == ["HbA1c", "6.1"]
    assert entities[0] == {
        "starts_at": 0,
        "ends_at": 5,
        "found": "HbA1c",
        "category": "diabetes",
        "confidence": 0.9,
        "value": 6.1,
        "unit": "%",
    }


def test_trends_are_grouped_by_test_and_unit_and_are_the_owners(api: Running) -> None:
    for name in ("ada", "ben"):
        api.execute(
            "INSERT INTO trends (owner_id, test_name, unit, period, category, count, mean, minimum, maximum, latest) "
            "SELECT id, name, unit, period::timestamptz, category, 2, 6, 5, 7, 6.5 FROM users, (VALUES "
            "('hba1c', '%', '2026-10-01 00:00Z', 'diabetes'), ('hba1c', '%', '2026-11-01 00:00Z', 'diabetes'), "
            "('hba1c', 'mmol/mol', '2026-11-01 00:00Z', 'diabetes'), ('ldl', 'mg/dL', '2026-11-01 00:00Z', 'lipids')) "
            "AS t (name, unit, period, category) WHERE email = $1",
            f"{name}@lab.example",
        )
    items = api.ask("GET", "/trends").json()["items"]
    assert [(item["test_name"], item["unit"], len(item["periods"])) for item in items] == [
        ("hba1c", "%", 2),
        ("hba1c", "mmol/mol", 1),
        ("ldl", "mg/dL", 1),
    ]
    assert [period["period"][:10] for period in items[0]["periods"]] == ["2026-10-01", "2026-11-01"]
    assert len(api.ask("GET", "/trends", params={"test_name": " HbA1c, "}).json()["items"]) == 2
    assert len(api.ask("GET", "/trends", params={"category": "lipids"}).json()["items"]) == 1
    everyone = api.ask("GET", "/trends", "olga").json()
    assert len(everyone["items"]) == 6
    assert len({item["owner_id"] for item in everyone["items"]}) == 2


def test_it_goes_on_without_redis(api: Running) -> None:
    panel = api.ask("POST", "/labs", json=PANEL).json()["id"]
    api.execute("UPDATE lab_panels SET status = 'done' WHERE id = $1", panel)
    assert api.ask("GET", f"/labs/{panel}").json()["status"] == "done"  # and is in the cache now
    api.redis.stop()
    try:
        started = time.monotonic()
        for _ in range(20):
            assert api.ask("GET", f"/labs/{panel}").status_code == 200
            assert api.ask("POST", "/labs", json=PANEL).status_code == 202
        assert time.monotonic() - started < 15
        until(lambda: not api.ask("GET", "/ready").json()["cache"]["ok"])
        assert api.ask("GET", "/ready").status_code == 200
    finally:
        api.redis.start()
    until(lambda: api.ask("GET", "/ready").json()["cache"]["ok"])


def test_without_its_database_it_says_503_with_a_reason_and_recovers(api: Running) -> None:
    assert api.ask("GET", "/labs").status_code == 200
    api.postgres.stop()
    try:
        for method, path, options in (
            ("GET", "/labs", {}),
            ("POST", "/labs", {"json": PANEL}),
            ("GET", "/trends", {}),
        ):
            started = time.monotonic()
            answer = api.ask(method, path, **options)
            assert answer.status_code == 503, answer.text
            assert answer.json() == {"detail": "The database cannot be reached at the moment; please try again."}
            assert int(answer.headers["retry-after"]) > 0
            assert time.monotonic() - started < 10
        assert api.ask("GET", "/health").status_code == 200
        until(lambda: api.ask("GET", "/ready").status_code == 503)
        ready = api.ask("GET", "/ready")
        assert ready.json()["queue"]["ok"] is True
        assert ready.json()["database"]["ok"] is False
        assert ready.json()["database"]["reason"]
    finally:
        api.postgres.start()
    # With the very next request, and not a broken connection later.
    assert api.ask("GET", "/labs").status_code == 200
    assert api.ask("POST", "/labs", json=PANEL).status_code == 202
    until(lambda: api.ask("GET", "/ready").status_code == 200)


def test_what_was_stored_while_the_queue_was_away_is_sent_when_it_is_back(
    api: Running, postgres: servers.Postgres, database: str, sqs: str, queue_url: str
) -> None:
    """With the queue's address leading nowhere at first; then another process, as after a restart, sends it."""
    nowhere = f"http://127.0.0.1:{servers.free_port()}"
    token = servers.sign_in(postgres, database, "away@lab.example")
    first = servers.api(database, api.redis.url, nowhere, queue_url, REGION)
    first.start()
    answer = httpx.post(f"{first.url}/labs", json=PANEL, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert answer.status_code == 202
    assert httpx.get(f"{first.url}/ready", timeout=10).json()["queue"]["ok"] is False
    first.stop(signal.SIGTERM)
    second = servers.api(database, api.redis.url, sqs, queue_url, REGION)
    second.start()
    got: list[Any] = []
    until(lambda: got.extend(api.queue.receive_message(QueueUrl=queue_url).get("Messages", [])) or got)
    second.stop(signal.SIGTERM)
    for process in (first, second):
        shutil.rmtree(process.folder)


def test_jobs_that_lost_their_message_are_sent_again_or_given_up(
    api: Running,
    postgres: servers.Postgres,
    database: str,
    sqs: str,
    queue_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a worker leaves them that is killed each time it takes one, or that was away for longer than the queue keeps
    a message: nobody but the API can know."""
    dead = api.queue.create_queue(QueueName="dead-of-the-lost")["QueueUrl"]
    arn = api.queue.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    api.queue.set_queue_attributes(QueueUrl=queue_url, Attributes={"RedrivePolicy": policy})
    servers.sign_in(postgres, database, "lost@lab.example")

    def execute(statement: str) -> list[Any]:
        return asyncio.run(postgres.execute(statement, database.rpartition("/")[2]))

    execute("INSERT INTO lab_panels (id, patient_reference) VALUES (gen_random_uuid(), 'p')")
    execute(
        "INSERT INTO reports (id, owner_id, patient_reference, body) SELECT gen_random_uuid(), id, 'p', 'b' FROM users"
    )
    execute(
        "INSERT INTO jobs (id, kind, owner_id, panel_id, report_id, deliveries, sends, status, sent_at) SELECT "
        "gen_random_uuid(), kind, users.id, CASE kind WHEN 'categorise' THEN lab_panels.id END, "
        "CASE kind WHEN 'extract' THEN reports.id END, t.deliveries, t.sends, t.status, now() - age::interval "
        "FROM users, lab_panels, reports, (VALUES "
        "('categorise', 5, 0, 'queued', '11 minutes'), ('extract', 6, 0, 'queued', '5 days'), "
        "('aggregate', 0, 5, 'queued', '11 minutes'), ('aggregate', 4, 0, 'queued', '11 minutes'), "
        "('aggregate', 5, 0, 'queued', '9 minutes'), ('aggregate', 7, 0, 'done', '5 days')) "
        "AS t (kind, deliveries, sends, status, age)"
    )

    async def look_often_enough() -> None:
        engine = engines.engine(env.database_url("asyncpg", {"DATABASE_URL": database}))
        outbox = Outbox(PostgresStore(engine), SqsQueue(queue_url, REGION))
        for _ in range(IDLE_LOOKS):
            await outbox.recover()
        await outbox.send()
        await engine.dispose()

    monkeypatch.setenv("AWS_ENDPOINT_URL", sqs)
    asyncio.run(look_often_enough())
    rows = execute("SELECT id, deliveries, sends, status, reason FROM jobs ORDER BY deliveries, kind")
    reason = "no result came of it, however often it was tried"
    assert [(row["deliveries"], row["sends"], row["status"], row["reason"]) for row in rows] == [
        (0, 5, "failed", reason),  # lost each time before the worker took it down
        (4, 1, "queued", None),
        (5, 0, "queued", None),  # sent a moment ago: the queue may not count it yet
        (5, 0, "failed", reason),
        (6, 0, "failed", reason),
        (7, 0, "done", None),
    ]
    got = api.queue.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)["Messages"]
    assert [Job.from_json(message["Body"]).job_id for message in got] == [rows[1]["id"]]
    for table in ("lab_panels", "reports"):
        (row,) = execute(f"SELECT status, reason, finished_at FROM {table}")  # noqa: S608 - the two names above
        assert (row["status"], row["reason"]) == ("failed", reason)
        assert row["finished_at"] is not None


def test_two_processes_send_each_job_once(
    api: Running, postgres: servers.Postgres, database: str, sqs: str, queue_url: str
) -> None:
    servers.sign_in(postgres, database, "both@lab.example")
    name = database.rpartition("/")[2]
    asyncio.run(
        postgres.execute(
            "INSERT INTO jobs (id, kind, owner_id) SELECT gen_random_uuid(), 'aggregate', id "
            "FROM users, generate_series(1, 120)",
            name,
        )
    )
    both = [servers.api(database, api.redis.url, sqs, queue_url, REGION) for _ in range(2)]
    for process in both:
        process.start()
    until(lambda: asyncio.run(postgres.execute("SELECT count(*) FROM jobs WHERE sent_at IS NULL", name))[0][0] == 0)
    for process in both:
        process.stop(signal.SIGTERM)
        shutil.rmtree(process.folder)
    ids: list[str] = []
    while got := api.queue.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        ids += [str(Job.from_json(message["Body"]).job_id) for message in got]
    assert len(ids) == len(set(ids)) == 120


def test_it_ends_cleanly_when_asked_to(api: Running, database: str, sqs: str, queue_url: str) -> None:
    process = servers.api(database, api.redis.url, sqs, queue_url, REGION)
    process.start()
    assert process.stop(signal.SIGTERM) == 0
    shutil.rmtree(process.folder)


def test_nothing_private_is_in_its_log(api: Running) -> None:
    log = api.process.log
    assert "POST /labs 202" in log
    for private in (*api.tokens.values(), "ada@lab.example", "patient-17", "HbA1c"):
        assert private not in log
